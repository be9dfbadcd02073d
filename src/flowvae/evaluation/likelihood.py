"""The bound and the importance-weighted log p(x), in chunks that keep to a budget of memory."""

import math
from collections.abc import Sequence

import numpy as np

from flowvae.data import Split
from flowvae.distributions.logistic import bits_per_dimension
from flowvae.evaluation.passing import Compile, Progress, one_pass
from flowvae.evaluation.result import Evaluation, PerDatum
from flowvae.model import VAE


def evaluate(
    model: VAE,
    split: Split,
    samples: int = 500,
    seed: int = 0,
    memory: str | int = "256MiB",
    progress: Progress | None = None,
    compile: Compile = "auto",
) -> Evaluation:
    """The evidence lower bound, log p(x) and what goes with them, for every datum of ``split`` and on average.

    From K = ``samples`` draws z_k ~ q(z | x) a datum and their weights w_k = p(x, z_k) / q(z_k | x):

        elbo = 1/K sum_k log w_k,    log p(x) ~ log( 1/K sum_k w_k ),    ess = (sum_k w_k)^2 / sum_k w_k^2.

    The second is the importance-weighted bound: below log p(x) in expectation, rising to it with K. The encoder runs
    once a datum. The figures of a model whose graph is still open are means over ten graphs, each with K draws: outside
    the logarithm, E_c[ log p(x | c) ]. A model without latents draws nothing: K is 1 whatever was asked for, and both
    figures are log p(x) itself. The result is a function of the model, the data, ``samples`` and ``seed``; it does not
    depend on ``memory`` beyond rounding, or the tolerance of a flow that is solved to one. Networks run in the model's
    precision, sums in double precision.

    Args:
        model: evaluated where it lies, in evaluation mode; left as it was.
        split: its bits are drawn once by ``seed`` where its binarisation is dynamic.
        samples: K, at least 1.
        seed: of the draws and the bits; torch's generators are left as they were.
        memory: bound on what is allocated on the way, as bytes or "256MiB".
        progress: called with the pairs (draw, datum) done and to do.
        compile: "auto" compiles where the sizes are such that it pays.

    Raises:
        InputError: data of another shape than the model's, a budget too small for one pair, or a term that is not
            finite (it is named, with its datum).

    Reference: Burda, Grosse, Salakhutdinov (2016), arXiv:1509.00519.

    >>> import torch
    >>> from flowvae import build_model
    >>> split = Split(torch.rand(20, 6).round())
    >>> result = evaluate(build_model({"latents": {"dim": 2}}, (6,)), split, samples=50)
    >>> result.elbo < result.log_likelihood, result.gap == result.log_likelihood - result.elbo
    (True, True)
    """
    found = one_pass(model, split, samples, seed, memory, progress, compile)
    elbo, log_likelihood, rate = (float(values.mean()) for values in (found.elbo, found.log_px_hat, found.kl.sum(0)))
    accepts = getattr(model.likelihood, "accepts", ())
    per_dimension = [code.kl_per_dimension for code in found.codes]
    return Evaluation(
        elbo=elbo,
        elbo_standard_error=_standard_error(found.elbo),
        log_likelihood=log_likelihood,
        standard_error=_standard_error(found.log_px_hat),
        gap=log_likelihood - elbo,
        ess=float(found.ess.mean()),
        distortion=-(elbo + rate),
        rate=rate,
        kl=found.kl.mean(1).tolist(),
        kl_per_dimension=[[] if kl is None else kl.flatten().tolist() for kl in per_dimension],
        active_units=[code.active_units for code in found.codes],
        bits_per_dim=_bits(log_likelihood, split, accepts),
        samples=found.samples,
        seed=seed,
        binarise=split.binarise,
        count=len(split),
        graphs=found.graphs,
        per_datum=PerDatum(found.log_px_hat, found.elbo, found.ess),
    )


def score(
    model: VAE,
    split: Split,
    samples: int = 500,
    seed: int = 0,
    memory: str | int = "256MiB",
    progress: Progress | None = None,
    compile: Compile = "auto",
) -> np.ndarray:
    """log( 1/K sum_k w_k ) for every datum, ``(N,)`` float64 in nats: `evaluate`'s estimate of log p(x)."""
    return one_pass(model, split, samples, seed, memory, progress, compile).log_px_hat


def _standard_error(values: np.ndarray) -> float | None:
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None


def _bits(log_p: float, split: Split, accepts: Sequence[str]) -> float | None:
    """Bits per dimension, where log p is the probability of bits or levels, or the density of levels spread over cells.

    A likelihood of bits scores values between by their cross-entropy, which is neither.
    Cells of width 1 / L carry log2 L bits each: E_u log p((k + u) / L) - D log L is below log P(k).
    """
    if split.cells and "binary" not in accepts:
        return bits_per_dimension(log_p, split.event_shape) + math.log2(split.cells)
    is_probability = tuple(accepts) == ("levels",) or ("binary" in accepts and split.is_binary)
    return bits_per_dimension(log_p, split.event_shape) if is_probability else None
