"""Evaluation: the bound, log p(x) and the latent code of a trained model."""

from flowvae.evaluation.generate import encode, has_typical, reconstruct, sample
from flowvae.evaluation.likelihood import evaluate, score
from flowvae.evaluation.result import Evaluation, PerDatum
from flowvae.evaluation.rungs import rungs
from flowvae.evaluation.sequences import decoding
from flowvae.evaluation.structure import ancestral, graph_of

__all__ = [
    "Evaluation", "PerDatum", "ancestral", "decoding", "encode", "evaluate", "graph_of", "has_typical", "reconstruct",
    "rungs", "sample", "score",
]  # fmt: skip
