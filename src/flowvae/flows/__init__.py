"""Normalising flows: one published family a file, from a context to a transform."""

from flowvae.flows.base import Cost, Flow
from flowvae.flows.parameters import Parameters, Sharing

__all__ = ["Cost", "Flow", "Parameters", "Sharing"]
