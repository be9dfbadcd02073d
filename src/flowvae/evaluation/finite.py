"""Naming what is not finite."""

import torch
from torch import Tensor

from flowvae.errors import InputError
from flowvae.model import VAE


def require_finite(model: VAE, x: Tensor, rows: range, log_px: Tensor, log_ratio: Tensor) -> None:
    """Raise `InputError` unless all terms ``(S, B)`` and ``(groups, S, B)`` of the data x, named ``rows``, are finite.

    The first culprit in the order of the computation is named: a weight, a datum, a log q - log p, log p(x | z).
    """
    if torch.isfinite(log_px).all() and torch.isfinite(log_ratio).all():
        return
    for name, weight in [*model.named_parameters(), *model.named_buffers()]:
        if not torch.isfinite(weight).all():
            raise InputError(f"expected finite weights; got {_bad(weight)} in {name}: load earlier weights")
    for row, datum in zip(rows, x, strict=True):
        if not torch.isfinite(datum).all():
            raise InputError(f"expected finite data; got {_bad(datum)} in datum {row}: correct it or leave it out")
    of = [f" of latent group {n}" if len(log_ratio) > 1 else "" for n in range(len(log_ratio))]
    named = {f"log q(z|x) - log p(z){group}": term for group, term in zip(of, log_ratio, strict=True)}
    for name, term in {**named, "log p(x|z)": log_px}.items():
        for row, values in zip(rows, term.unbind(1), strict=True):
            if not torch.isfinite(values).all():
                raise InputError(
                    f"expected finite log-weights; got {_bad(values)} in {name} for datum {row}: "
                    "check the datum and the size of the weights"
                )


def _bad(values: Tensor) -> str:
    return str(values[~torch.isfinite(values)][0].item())
