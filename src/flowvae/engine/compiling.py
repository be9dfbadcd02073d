"""When to compile the training step, and how."""

import os
import shutil

import torch
from torch import nn

from flowvae.engine.options import Training
from flowvae.errors import InputError

# Measured on two cores: an eager step costs some 2 ms of overhead and then runs near 150 GFLOP/s, six floating-point
# operations a weight and datum; compiled it takes a quarter less; compiling takes some 30 s.
OVERHEAD = 2e-3
FLOPS = 1.5e11
GAIN = 0.25
COST = 30.0

NO_COMPILER = "no C++ compiler (g++ or clang++)"
OPTIONS = {"fallback_random": True}  # the numbers of the eager step, so that it can be replayed


def traceable(model: nn.Module) -> bool:
    """Whether the compiler takes the model in one piece: a module that it does not says ``compiles = False``."""
    return all(getattr(module, "compiles", True) for module in model.modules())


def worth_compiling(model: nn.Module, steps: int, data_per_step: int) -> bool:
    """Whether ``steps`` steps are long enough for a compiled step to win its compilation back.

    A function of sizes alone, not of the clock: a run and its repetition decide alike.
    """
    weights = sum(p.numel() for p in model.parameters())
    return traceable(model) and steps * (OVERHEAD + 6 * weights * data_per_step / FLOPS) * GAIN > COST


def can_compile(device: torch.device) -> bool:
    """Whether the compiler that torch needs for ``device`` is there."""
    if device.type == "cuda":
        return torch.utils._triton.has_triton()
    return any(shutil.which(name) for name in (os.environ.get("CXX", ""), "g++", "clang++", "clang-cl", "cl") if name)


def require_compiler(training: Training, device: torch.device) -> None:
    """`InputError` where ``training.compile`` asks for a compiler that is not there."""
    if training.compile == "on" and not can_compile(device):
        raise InputError(f"expected a compiler; got {NO_COMPILER}: install one, or use --set training.compile=off")


def compile_options(training: Training, device: torch.device, processes: int) -> dict[str, bool]:
    """How the step is compiled.

    On a CUDA device, in a single process, its kernels are recorded once and replayed as graphs, forward and backward,
    unless ``training.cuda_graphs`` is off: small kernels then do not wait for Python. What a replay asks for holds in
    the loop: one shape of batch, parameters and buffers that stay where they are and change in place, gradients dropped
    before the next step, random numbers from torch's own generator, and no result kept beyond its step.
    """
    graphs = training.cuda_graphs and device.type == "cuda" and processes == 1
    return OPTIONS | ({"triton.cudagraphs": True} if graphs else {})


def compile_step(step: nn.Module, options: dict[str, bool]) -> None:
    """Compile ``step`` in place, for one shape of batch."""
    torch._dynamo.reset()  # the cache has room for few graphs of one code: earlier runs of this process are over
    step.compile(dynamic=False, options=options)


def wanted(training: Training, model: nn.Module, steps: int, data_per_step: int) -> bool:
    """What ``training.compile`` asks for, before asking whether it can be had."""
    return training.compile == "on" or (training.compile == "auto" and worth_compiling(model, steps, data_per_step))
