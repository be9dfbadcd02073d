"""Parameters that start from data."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


class FromData(nn.Module, ABC):
    """A module whose parameters can start from what passes through it, once: inside `starting`, or by `start_from`.

    Until then it works as it was built. Whether it has started is a plain bool, saved with the weights: weights that
    were trained are never started again.
    """

    started = False

    @abstractmethod
    def start_from(self, *inputs: Any) -> None:
        """Set the parameters by the inputs of a forward pass, without gradients."""

    def get_extra_state(self) -> bool:
        return self.started

    def set_extra_state(self, state: bool) -> None:
        self.started = state


def unstarted(model: nn.Module) -> list[FromData]:
    """The parts of a model that could start from data and have not."""
    return [module for module in model.modules() if isinstance(module, FromData) and not module.started]


@contextmanager
def starting(model: nn.Module) -> Iterator[None]:
    """Inside, every part of ``model`` that can starts from the first input it gets, before it acts on that input.

    One forward pass is enough, and the parts start in the order in which data reach them, each from what those before
    it made of the data.

    >>> from flowvae.nn.normed import NormedLinear
    >>> layer, x = NormedLinear(3, 2), 5 + torch.randn(100, 3)
    >>> with starting(layer):
    ...     y = layer(x)
    >>> torch.allclose(y.mean(0), torch.zeros(2), atol=1e-4), torch.allclose(y.std(0), torch.ones(2), atol=0.02)
    (True, True)
    """

    def start(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        assert isinstance(module, FromData)
        module.start_from(*inputs)
        module.started = True
        hooks.pop(module).remove()

    hooks = {module: module.register_forward_pre_hook(start) for module in unstarted(model)}
    try:
        with torch.no_grad():
            yield
    finally:
        for hook in hooks.values():
            hook.remove()
