"""Precision of densities and of bijections, whatever that of the networks."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def in_full_precision(t: Tensor) -> Tensor:
    """Half-precision network outputs as float32, so that densities are never computed in half precision."""
    return t.float() if t.dtype in (torch.bfloat16, torch.float16) else t


def without_autocast(device: torch.device) -> AbstractContextManager[None]:
    """Inside, everything is computed in the precision of its tensors; a device without autocast does so anyway."""
    known = torch.amp.is_autocast_available(device.type)
    return torch.autocast(device.type, enabled=False) if known else nullcontext()
