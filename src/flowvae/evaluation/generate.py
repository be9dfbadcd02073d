"""What a trained model makes, as arrays: samples, reconstructions, codes."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from flowvae.data import Split
from flowvae.distributions.base import average, known, typical
from flowvae.errors import InputError, require_count
from flowvae.evaluation.context import evaluating, inputs, require_shape
from flowvae.evaluation.latent import Code, moments
from flowvae.evaluation.memory import Footprint
from flowvae.evaluation.noise import DatumNoise
from flowvae.latents import FromPosterior, Latent
from flowvae.model import VAE, require_draws

CHUNK = 128
"""Samples, or pairs (draw, datum), that are made at a time."""

CODES = 1024
"""Pairs whose latents are drawn at a time where nothing is decoded: the encoder then sees more than a datum or two."""

MEMORY = 2**28
"""Bytes that such draws may take, before fewer are made at a time."""


Show = Callable[[Distribution], Tensor]
"""The data that are shown of p(x | z): its mean, a draw, the best of a beam, ..."""


def sample(
    model: VAE, n: int, *, temperature: float = 1.0, seed: int = 0, mean: bool = True, show: Show | None = None
) -> np.ndarray:
    """Means of p(x | z) for n draws z from the prior, or with ``mean`` off draws of x: ``(n, *event)``.

    ``temperature`` scales the prior's noise. The first samples are the same whatever n. Sequences have no mean: theirs
    is the greedy one. Behind a flow it is a draw, since none is known. ``show`` says what is made of p(x | z) instead.

    >>> from flowvae import build_model
    >>> sample(build_model({"latents": {"dim": 2}}, (1, 8, 8)), 5).shape
    (5, 1, 8, 8)
    """
    require_count(n, "sample")
    chunks = []
    with evaluating(model, seed):
        for _ in range(0, n, CHUNK):
            p = model.generate(CHUNK, temperature)
            chunks.append(show(p) if show else typical(p) if mean else p.sample())
        return _array(torch.cat(chunks)[:n])


def has_typical(model: VAE) -> bool:
    """Whether a mean or mode of p(x | z) is known: else `sample` draws, whatever ``mean`` says."""
    with evaluating(model, seed=0):
        p = model.generate(1)
        return any(known(p, name) is not None for name in ("mean", "mode"))


def reconstruct(
    model: VAE, split: Split, *, samples: int = 1, seed: int = 0, show: Show = average
) -> dict[str, np.ndarray]:
    """``originals``, as the model sees them, and ``means``: E[x | z] averaged over ``samples`` posterior draws.

    Both are ``(N, *event)``. ``seed`` is that of the draws, and of the bits where binarisation is dynamic. ``show``
    says what is made of p(x | z), of batch ``(S, B)``, instead. Raises `InputError` for a model without latents.
    """
    if not model.latents.infers:
        raise InputError("expected latents to reconstruct from; got a model without: choose a model with latents")
    with evaluating(model, seed):
        parts = [(x, show(model.likelihood(c))) for _, x, c, _ in walks(model, split, samples, seed)]
        originals, means = (_array(torch.cat(part)) for part in zip(*parts, strict=True))
    return {"originals": originals, "means": means}


def encode(model: VAE, split: Split, *, samples: int = 64, seed: int = 0) -> dict[str, np.ndarray]:
    """The latent code of every datum, ``(N, *event)``: ``mean`` and ``sd`` of q(z | x), and ``z``, one draw from it.

    Mean and standard deviation are exact where the posterior is Gaussian, else those of ``samples`` draws. With several
    latent groups, the names carry the group's number: ``mean_0``, ... Raises `InputError` for a model without latents.

    >>> from flowvae import build_model
    >>> code = encode(build_model({"latents": {"dim": 2}}, (6,)), Split(torch.rand(5, 6)))
    >>> {name: array.shape for name, array in code.items()}
    {'mean': (5, 2), 'sd': (5, 2), 'z': (5, 2)}
    """
    if not model.latents.infers:
        raise InputError("expected latents to encode; got a model without: choose a model with latents")
    require_shape(model, split)
    chunks = []
    with evaluating(model, seed):
        with Footprint() as footprint:
            next(walks(model, split.take(1), 1, seed))
        pairs = min(CODES, MEMORY // footprint.peak)
        for rows, _, _, latents in walks(model, split, samples, seed, pairs):
            arrays: dict[str, np.ndarray] = {}
            for n, latent in enumerate(latents):
                found = moments(latent)
                code = Code(len(rows), samples, found)
                code.add(range(len(rows)), samples, found)
                z = latent.z[0].clone()  # a view would keep the other draws
                named = {"mean": code.mean, "sd": code.variance.sqrt(), "z": z}
                arrays |= {f"{name}_{n}" if len(latents) > 1 else name: _array(t) for name, t in named.items()}
            chunks.append(arrays)
    return {name: np.concatenate([arrays[name] for arrays in chunks]) for name in chunks[0]}


def walks(
    model: VAE, split: Split, samples: int, seed: int, pairs: int = CHUNK
) -> Iterator[tuple[range, Tensor, Tensor, tuple[Latent, ...]]]:
    """Rows of ``split``, their x, and ``samples`` posterior draws: the decoder's input and the groups.

    ``pairs`` (draw, datum) are made at a time. Bits are drawn once, by ``seed``.
    """
    require_shape(model, split)
    require_draws(samples)
    data = split.frozen(seed)
    noise = DatumNoise(seed, samples, next(model.parameters()).device)
    step = max(1, pairs // samples)
    for start in range(0, len(data), step):
        rows = range(start, min(start + step, len(data)))
        x = inputs(model, data, rows)
        c, latents = model.latents.walk(
            FromPosterior(noise.of(rows)), model.encoder(x), torch.Size((samples, len(rows)))
        )
        yield rows, x, c, latents


def _array(t: Tensor) -> np.ndarray:
    return t.float().numpy(force=True)
