"""Data sets: one source a file, resident as bytes, binarised batch by batch."""

from flowvae.data.arrays import from_arrays
from flowvae.data.base import Binarise, Data, Split
from flowvae.data.check import Inspection, inspect, require_support
from flowvae.data.loading import load_data, resolve_data, taken_over

__all__ = [
    "Binarise",
    "Data",
    "Inspection",
    "Split",
    "from_arrays",
    "inspect",
    "load_data",
    "require_support",
    "resolve_data",
    "taken_over",
]
