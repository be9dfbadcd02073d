"""What every evaluation starts from: a model that is left as it was found, and data that fit it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from flowvae.data import Data, Split
from flowvae.distributions import unchecked
from flowvae.engine.generators import aside
from flowvae.errors import InputError
from flowvae.model import VAE


@contextmanager
def evaluating(model: VAE, seed: int) -> Iterator[torch.device]:
    """The model in evaluation mode, without gradients, on the device that is given; then everything as before.

    Inside, torch's generators start from ``seed``, distributions do not check their arguments, and a GPU's convolutions
    multiply in float32, where they take ten bits of the mantissa (TF32) otherwise.
    """
    if seed < 0:
        raise InputError(f"expected a seed of at least 0; got {seed}: give a whole number from 0")
    device = next(model.parameters()).device
    training = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        with unchecked(), aside(device), _exact(), torch.no_grad():
            torch.manual_seed(seed)
            yield device
    finally:
        for module, mode in training:
            module.training = mode


@contextmanager
def _exact() -> Iterator[None]:
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def require_shape(model: VAE, split: Split) -> None:
    """Raise `InputError` for what is no split of data, and for data of another shape than the model was built for."""
    if not isinstance(split, Split):
        remedy = "give one of its splits, as data.test" if isinstance(split, Data) else "make one, as Split(values)"
        raise InputError(f"expected a split of data; got {type(split).__name__}: {remedy}")
    if model.event_shape and model.event_shape != split.event_shape:
        raise InputError(
            f"expected data of shape {model.event_shape}, as the model was built for; got {split.event_shape}: "
            "choose other data or another model"
        )


def inputs(model: VAE, split: Split, rows: range) -> Tensor:
    """Data ``rows`` of ``split`` on the model's device and in its precision, ``(B, *event)``."""
    weight = next(model.parameters())
    return split.batch(torch.arange(rows.start, rows.stop, device=split.values.device)).to(weight.device, weight.dtype)
