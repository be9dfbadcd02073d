"""When to compile the training step, and how."""

import os
import shutil
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from flowvae.engine.options import Training
from flowvae.engine.work import Work
from flowvae.errors import InputError

# Measured on two cores, on MLPs with IAF, residual networks and ladders: compiled, a pass takes a fifth less (an eighth
# to a half), and 45 ms are spent on compiling each call; backward goes as much again, and takes twice as long.
GAIN = 0.2
COST = 0.045
BACKWARD = 2.0

# with layouts of the compiler's own choice, maps of the smallest rungs get wrong gradients on a CPU (torch 2.13)
LAYOUT: dict[str, Any] = {"layout_optimization": False}
# random numbers are those of the eager step, so that it can be replayed
OPTIONS: dict[str, Any] = LAYOUT | {"fallback_random": True}

# what nothing in a phase changes, and a third of the time that a step spends on its guards
SETTLED = {
    "BUILTIN_MATCH",
    "CLASS_MATCH",
    "CLOSURE_MATCH",
    "EMPTY_NN_MODULE_HOOKS_DICT",
    "MODULE_MATCH",
}


def traceable(model: nn.Module) -> bool:
    """Whether the compiler takes the model in one piece: a module that it does not says ``compiles = False``."""
    return all(getattr(module, "compiles", True) for module in model.modules())


def worth_compiling(model: nn.Module, seconds: float, calls: float) -> bool:
    """Whether passes of ``seconds`` in all win back the compilation of ``calls`` calls: a matter of sizes alone.

    A run and its repetition decide alike.
    """
    return traceable(model) and seconds * GAIN > calls * COST


def worth_training(model: nn.Module, work: Sequence[Work], steps: Sequence[int], times: float) -> bool:
    """Whether phases of ``steps`` steps win their compilations back.

    Args:
        model: what is trained.
        work: of every phase, what a forward pass of some data computes.
        steps: of every phase.
        times: the data of a step, in multiples of those.
    """
    seconds = sum(number * phase.seconds(times) for number, phase in zip(steps, work, strict=True))
    return worth_compiling(model, (1 + BACKWARD) * seconds, 2 * sum(phase.calls for phase in work))


def can_compile(device: torch.device) -> bool:
    """Whether the compiler that torch needs for ``device`` is there."""
    if device.type == "cuda":
        from torch.utils._triton import has_triton  # torch itself does not load it

        return has_triton()
    return any(shutil.which(name) for name in (os.environ.get("CXX", ""), "g++", "clang++", "clang-cl", "cl") if name)


def no_compiler(device: torch.device) -> str:
    """What is not there where `can_compile` says no, in words."""
    return "no Triton" if device.type == "cuda" else "no C++ compiler (g++ or clang++)"


def require_compiler(compile: str, device: torch.device, instead: str = "--set training.compile=off") -> None:
    """`InputError` where ``compile`` is "on" and the compiler is not there, with what to use ``instead``."""
    if compile == "on" and not can_compile(device):
        raise InputError(f"expected a compiler; got {no_compiler(device)}: install one, or use {instead}")


def watched(guards: Sequence[Any]) -> list[bool]:
    """Of torch's guards on a compiled step, those that are looked at before every step: numbers, tensors, types."""
    return [guard.guard_type not in SETTLED for guard in guards]


def compile_options(training: Training, device: torch.device, processes: int) -> dict[str, Any]:
    """How the step is compiled.

    Every batch has one shape, and in a single process the first one's gradients are compared with the plain step's: no
    kernel then need look at sizes and strides again. Guards are the `watched` ones.

    On a CUDA device, in a single process, its kernels are recorded once and replayed as graphs, forward and backward,
    unless ``training.cuda_graphs`` is off: small kernels then do not wait for Python. What a replay asks for holds in
    the loop: one shape of batch, parameters and buffers that stay where they are and change in place, gradients dropped
    before the next step, random numbers from torch's own generator, and no result kept beyond its step.
    """
    graphs = training.cuda_graphs and device.type == "cuda" and processes == 1
    filters = hasattr(torch.compiler, "skip_all_guards_unsafe")  # since torch 2.8
    guards = {"guard_filter_fn": watched} if filters else {}
    sizes = {"size_asserts": False} if processes == 1 else {}
    return OPTIONS | guards | sizes | ({"triton.cudagraphs": True} if graphs else {})


def compile_step(step: nn.Module, options: dict[str, Any]) -> None:
    """Compile ``step`` in place, for one shape of batch."""
    torch._dynamo.reset()  # the cache has room for few graphs of one code: earlier runs of this process are over
    step.compile(dynamic=False, options=options)
