"""What a multivariate Gaussian makes of the same bytes: a model of images that is worse has something wrong with it."""

import torch

from flowvae.data import Data, Split
from flowvae.measures.base import Measured, finds
from flowvae.measures.spectrum import Spectrum, require_levels
from flowvae.model import VAE
from flowvae.registry import register

SHRINKAGE = (0.0, *(10 ** (-power / 4) for power in range(20, 0, -1)))
"""From none to half, each nearly twice the one before."""


@register("measure", "gaussian_reference")
@finds("gaussian_bits_per_dim")
def gaussian_reference(model: VAE, data: Data, held_out: Split) -> Measured:
    """``gaussian_bits_per_dim``: bits per dimension of the held-out data under a Gaussian fitted to the training data.

    Mean and covariance S are those of y = k + u, k the whole number behind x and u uniform noise on [0, 1); then
    log P(k) >= E_u log N(y), which is computed exactly. S is shrunk to (1 - a) S + a tr(S) / D I, as few data need it;
    a, which may be 0, is the best of `SHRINKAGE` for the validation data. The model is not looked at. Raises
    `InputError` for data that are no levels.

    Reference: van den Oord, Kalchbrenner, Kavukcuoglu (2016), arXiv:1601.06759 (4.70 on CIFAR-10); Ledoit, Wolf (2004),
    A well-conditioned estimator for large-dimensional covariance matrices.
    """
    require_levels(data)
    return Measured({"gaussian_bits_per_dim": gaussian_bits(data.train, data.validation, held_out)})


def gaussian_bits(train: Split, validation: Split, held_out: Split) -> float:
    """-E log2 N(k + u; mu, Sigma) / D over ``held_out``, Sigma shrunk as is best for ``validation``."""
    spectrum = Spectrum.of(train)
    a = torch.tensor(SHRINKAGE, dtype=torch.float64)[:, None]
    shrunk = (1 - a) * spectrum.variances + a * spectrum.variances.mean()  # the axes stay those of S
    return float(spectrum.bits(held_out, shrunk)[spectrum.bits(validation, shrunk).argmin()])
