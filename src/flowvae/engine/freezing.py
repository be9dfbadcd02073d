"""Which parameters a phase trains, and which it starts again."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from flowvae.errors import InputError, nearest
from flowvae.latents import LearnedGates


def is_part(name: str, parts: Sequence[str]) -> bool:
    """Whether one of ``parts`` stands between dots in ``name``.

    >>> is_part("latents.gates.0.logit", ["gates"]), is_part("latents.gates.0.logit", ["latents.gate"])
    (True, False)
    """
    return any(f".{part}." in f".{name}." for part in parts)


@contextmanager
def left_trainable(model: nn.Module) -> Iterator[set[str]]:
    """The names of the parameters that learn; in the end they are those that do again."""
    named = dict(model.named_parameters())
    trainable = {name for name, parameter in named.items() if parameter.requires_grad}
    try:
        yield trainable
    finally:
        for name, parameter in named.items():
            parameter.requires_grad_(name in trainable)


def freeze(model: nn.Module, parts: Sequence[str], trainable: set[str]) -> list[nn.Parameter]:
    """Leave the gradient on for ``trainable`` parameters outside ``parts`` only, and return them.

    Raises `InputError` when a part fits no parameter, or when nothing is left to train.
    """
    named = dict(model.named_parameters())
    for part in parts:
        parameters_of(model, part, "freeze")
    for name, parameter in named.items():
        parameter.requires_grad_(name in trainable and not is_part(name, parts))
    chosen = [parameter for parameter in named.values() if parameter.requires_grad]
    if not chosen:
        raise InputError(f"expected a phase to train something; got freeze = {list(parts)}: freeze less")
    return chosen


def parameters_of(model: nn.Module, part: str, option: str) -> list[nn.Parameter]:
    """The parameters of a part that a phase's ``option`` names; `InputError` where there is none."""
    named = dict(model.named_parameters())
    found = [parameter for name, parameter in named.items() if is_part(name, [part])]
    if not found and any(is_part(name, [part]) for name, _ in model.named_modules()):
        raise InputError(
            f"phases.{option}: expected a part that learns; got {part!r}, without parameters: leave it out"
        )
    if not found:
        known = {".".join(name.split(".")[:end]) for name in named for end in (1, 2)}
        raise InputError(f"phases.{option}: expected a part of a parameter's name; got {part!r}{nearest(part, known)}")
    return found


def settle(model: nn.Module, parts: Sequence[str]) -> bool:
    """Freeze the learned gates among ``parts`` at the graph as it is likely now, let all others learn.

    Returns whether a graph that was open no longer is: the model is then another one.
    """
    gates = [(name, module) for name, module in model.named_modules() if isinstance(module, LearnedGates)]
    before = [module.frozen for _, module in gates]
    for name, module in gates:
        module.freeze(is_part(name, parts))
    return any(module.frozen and not open_ for (_, module), open_ in zip(gates, before, strict=True))


@torch.no_grad()
def reset(model: nn.Module, initial: dict[str, Any], frozen: Sequence[str]) -> None:
    """Give everything outside ``frozen`` its ``initial`` value again."""
    now = model.state_dict()
    model.load_state_dict({name: now[name] if is_part(name, frozen) else initial[name] for name in now})
