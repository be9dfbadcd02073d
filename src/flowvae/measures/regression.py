"""How well a known property is told by the latents."""

from typing import Literal

from flowvae.data import Data, Split
from flowvae.evaluation.regression import SURROGATES, known, quality
from flowvae.measures.base import Measured, finds
from flowvae.model import VAE
from flowvae.registry import Count, Seed, register


@register("measure", "regression")
@finds("rmse", "pearson")
def regression(
    model: VAE,
    data: Data,
    held_out: Split,
    *,
    method: Literal["gp", "ridge"] = "gp",
    points: Count = 1000,
    seed: Seed = 0,
) -> Measured:
    """The labels of held-out data predicted from their posterior means: ``rmse``, in their own unit, and ``pearson``.

    A Gaussian process or ridge regression is fitted to ``points`` training data, drawn by ``seed``. Raises `InputError`
    for data without labels.
    """
    surrogate = SURROGATES[method](*known(model, data.train, points, seed))
    rmse, pearson = quality(surrogate, *known(model, held_out, len(held_out), seed))
    return Measured({"rmse": rmse, "pearson": pearson})
