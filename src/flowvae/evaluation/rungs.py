"""What the rungs of a ladder know: reconstructions from the top ones, and samples at several temperatures."""

import numpy as np
import torch

from flowvae.data import Split
from flowvae.distributions.base import typical
from flowvae.evaluation.context import evaluating, inputs, require_shape
from flowvae.evaluation.generate import sample
from flowvae.evaluation.noise import DatumNoise
from flowvae.latents import Mixed
from flowvae.model import VAE

TEMPERATURES = (0.4, 0.7, 1.0)

MOST = 5
"""Numbers of rungs that are shown, none and all of them among them."""


def rungs(model: VAE, split: Split, n: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Pictures of a model with a ladder; empty for any other.

    ``partial`` ``(K, N, *event)`` holds means of p(x | z) for the data of ``split``, the first ``tops`` ``(K,)`` rungs
    drawn from the posterior and the rest from the prior without noise. ``tempered`` ``(T, n, *event)`` holds n samples
    at each of ``temperatures`` ``(T,)``, the same noise scaled.
    """
    if not model.latents.over_maps:
        return {}
    require_shape(model, split)
    data = split.frozen(seed)
    rows = range(len(data))
    with evaluating(model, seed) as device:
        x = inputs(model, data, rows)
        h, noise, batch = model.encoder(x), DatumNoise(seed, 1, device).of(rows), torch.Size((1, len(data)))
        _, found = model.latents.walk(Mixed(0, 0.0), h, batch)
        tops = np.unique(np.linspace(0, len(found), MOST).round().astype(int))
        walks = [model.latents.walk(Mixed(int(top), 0.0, noise), h, batch)[0] for top in tops]
        partial = [typical(model.likelihood(c))[0].float().numpy(force=True) for c in walks]
    tempered = [sample(model, n, temperature=temperature, seed=seed) for temperature in TEMPERATURES]
    return {
        "tops": tops,
        "partial": np.stack(partial),
        "temperatures": np.array(TEMPERATURES),
        "tempered": np.stack(tempered),
    }
