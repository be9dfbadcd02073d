"""A model as it was found: evaluation leaves no trace on it, nor on the caller's generators."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.distributions import Distribution

from flowvae.model import VAE


@contextmanager
def evaluating(model: VAE, seed: int) -> Iterator[torch.device]:
    """The model in evaluation mode, without gradients, on the device that is given; then everything as before.

    Inside, torch's generators start from ``seed``, and distributions leave the checking of their arguments to the
    caller, because checks cannot be compiled.
    """
    device = next(model.parameters()).device
    training = [(module, module.training) for module in model.modules()]
    checked = Distribution._validate_args
    try:
        Distribution.set_default_validate_args(False)
        model.eval()
        with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.inference_mode():
            torch.manual_seed(seed)
            yield device
    finally:
        Distribution.set_default_validate_args(checked)
        for module, mode in training:
            module.training = mode
