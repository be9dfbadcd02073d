"""The number format of the matrix products in training: as asked for, or as the device multiplies fastest."""

from typing import Literal

import torch

from flowvae.engine.options import Training

Precision = Literal["fp32", "bf16-mixed"]

EMULATED = "bf16-mixed is emulated on this device, far slower than fp32: training.precision = 'auto' avoids it"


def multiplies_bf16(device: torch.device) -> bool:
    """Whether ``device`` multiplies matrices of bfloat16 by itself; False where torch cannot tell.

    Other processors emulate such products: one with AVX2 alone was fourteen times slower with them than in float32.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    told = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(supported() for supported in told if supported)


def settled(training: Training, device: torch.device) -> Precision:
    """What ``training.precision`` comes to on a device."""
    if training.precision == "auto":
        return "bf16-mixed" if multiplies_bf16(device) else "fp32"
    return training.precision
