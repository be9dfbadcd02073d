"""An exponential moving average of the weights."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn


class Average:
    """avg <- d avg + (1 - d) theta after every step, d = min(decay, (1 + t) / (10 + t)) at update t = 0, 1, ...

    The ramp lets the average forget the first weights soon, so that short runs gain from it too. theta are the
    parameters and the running statistics that normalise their layers; other buffers are the model's own.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        statistics = {n: b for n, b in model.named_buffers() if n.rpartition(".")[2] in ("running_mean", "running_var")}
        self.followed = dict(model.named_parameters()) | statistics
        self.restart()

    @torch.no_grad()
    def restart(self) -> None:
        """Begin again at the weights as they are."""
        self.updates = 0
        self.values = {name: p.detach().clone() for name, p in self.followed.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Move towards the parameters as they are now."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(list(self.values.values()), list(self.followed.values()), 1 - decay)
        self.updates += 1

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model with the averaged parameters, inside the block."""
        own = {name: p.detach().clone() for name, p in self.followed.items()}
        self._write(self.values)
        try:
            yield
        finally:
            self._write(own)

    @torch.no_grad()
    def _write(self, values: dict[str, Tensor]) -> None:
        for name, parameter in self.followed.items():
            parameter.copy_(values[name])

    def state_dict(self) -> dict:
        """The average and its number of updates."""
        return {"updates": self.updates, "values": self.values}

    def load_state_dict(self, state: dict) -> None:
        """Go on from a `state_dict`."""
        self.updates = state["updates"]
        for name, value in self.values.items():
            value.copy_(state["values"][name])


def averaged(average: Average | None) -> AbstractContextManager[None]:
    """The model with the averaged parameters inside the block; as it is where there is no average."""
    return average.applied() if average else nullcontext()
