"""Evaluation: the bound, log p(x) and the latent code of a trained model."""

from flowvae.evaluation.generate import encode, reconstruct, sample
from flowvae.evaluation.likelihood import evaluate, score
from flowvae.evaluation.result import Evaluation, PerDatum

__all__ = ["Evaluation", "PerDatum", "encode", "evaluate", "reconstruct", "sample", "score"]
