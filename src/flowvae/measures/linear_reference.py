"""What the best linear model with as many latents makes of the same bytes: nets are to do better."""

from flowvae.data import Data, Split
from flowvae.evaluation.context import evaluating, inputs
from flowvae.measures.base import Measured, finds
from flowvae.measures.spectrum import Spectrum, require_levels
from flowvae.model import VAE
from flowvae.registry import register


@register("measure", "linear_reference")
@finds("linear_bits_per_dim")
def linear_reference(model: VAE, data: Data, held_out: Split) -> Measured:
    """``linear_bits_per_dim``: bits per dimension of the held-out data under probabilistic principal components.

    That is y = W z + mu + s e with z and e standard normal, z of as many dimensions as the model's latents: the model
    that a VAE with linear networks and one variance for all dimensions becomes when it is trained to the end. W, mu and
    s have their greatest likelihood for the training data, y = k + u as in `gaussian_reference`. Of the model only the
    number of latents is looked at. Raises `InputError` for data that are no levels.

    Reference: Tipping, Bishop (1999), Probabilistic principal component analysis; as a VAE: Lucas, Tucker, Grosse,
    Norouzi (2019), arXiv:1911.02469.
    """
    require_levels(data)
    with evaluating(model, seed=0):
        x = inputs(model, held_out, range(1))
        factors = sum(latent.z[0, 0].numel() for latent in model(x).latents)
    return Measured({"linear_bits_per_dim": linear_bits(data.train, held_out, factors)})


def linear_bits(train: Split, held_out: Split, factors: int) -> float:
    """-E log2 N(k + u; mu, W W' + s^2 I) / D over ``held_out``, W of ``factors`` columns."""
    spectrum = Spectrum.of(train)
    variances = spectrum.variances.clone()
    noise = variances[:-factors] if factors else variances  # s^2 is the mean of what no factor explains
    if len(noise):
        noise.fill_(noise.mean())
    return float(spectrum.bits(held_out, variances))
