"""Normalising flows: one published family a file, from a context to a transform."""

from flowvae.flows.base import Flow

__all__ = ["Flow"]
