"""The most that the machine does in a second, and that was held of its memory."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import Tensor
from torch.nn.functional import conv2d

SQUARE = {"cpu": 1024, "cuda": 8192}
"""Side of the matrices whose product tells the peak."""

MAPS = {"cpu": (8, 64, 32), "cuda": (256, 256, 32)}
"""Number, channels and side of the maps whose convolution with 3 x 3 kernels tells the peak of convolutions."""

WARM = 3
"""Runs before the clock does; compilation is among them."""


@torch.no_grad()
def peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second of a product of two large square matrices."""
    size = SQUARE[device.type]
    a, b = torch.randn(2, size, size, device=device).to(dtype)
    return 2 * size**3 / timed(lambda: torch.mm(a, b), 10, device)


@torch.no_grad()
def peak_conv_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second of convolutions, in the faster of the two layouts of maps."""
    number, channels, side = MAPS[device.type]
    maps = torch.randn(number, channels, side, side, device=device).to(dtype)
    kernels = torch.randn(channels, channels, 3, 3, device=device).to(dtype)

    def seconds(layout: torch.memory_format) -> float:
        x, weight = maps.contiguous(memory_format=layout), kernels.contiguous(memory_format=layout)
        return timed(lambda: conv2d(x, weight, padding=1), 10, device)

    flops = 2 * number * side**2 * channels**2 * 9
    return flops / min(seconds(torch.contiguous_format), seconds(torch.channels_last))


def most_held(device: torch.device) -> int | None:
    """Bytes: the most that torch has allocated on a CUDA device, else that the process has held, where Linux tells."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    told = re.search(r"VmHWM:\s*(\d+) kB", status)  # not getrusage: it counts what the parent process held
    return 1024 * int(told[1]) if told else None


def timed(run: Callable[[], Tensor | None], times: int, device: torch.device) -> float:
    """The median seconds of one run, after a few that do not count; the device has finished when the clock is read."""
    wait: Callable[[], None] = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    found = []
    for number in range(WARM + times):
        wait()
        start = time.perf_counter()
        run()
        wait()
        if number >= WARM:
            found.append(time.perf_counter() - start)
    return median(found)
