"""Precision of what networks put out."""

import torch
from torch import Tensor


def in_full_precision(t: Tensor) -> Tensor:
    """Half-precision network outputs as float32, so that densities are never computed in half precision."""
    return t.float() if t.dtype in (torch.bfloat16, torch.float16) else t
