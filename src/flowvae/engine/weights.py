"""Weights on file: safetensors, written atomically, read without running code."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from flowvae.errors import InputError
from flowvae.files import atomically


def save_weights(path: Path, state: dict[str, Any]) -> None:
    """Write a state dict; what is not a tensor (a module's extra state) goes along as JSON."""
    tensors = {name: value.detach().cpu().clone().contiguous() for name, value in state.items() if _is_tensor(value)}
    extra = {name: value for name, value in state.items() if not _is_tensor(value)}
    content = save(tensors, metadata={"extra": json.dumps(extra)})
    atomically(path, lambda part: part.write_bytes(content))  # save_file would let the owner alone read the file


def load_weights(path: Path) -> dict[str, Any]:
    """Read what `save_weights` wrote; `InputError` when the file is missing, cannot be read, or is not one of these."""
    if not path.is_file():
        raise InputError(f"expected weights at {str(path)!r}; got no such file: train with run={str(path.parent)!r}")
    try:
        with safe_open(path, framework="pt") as file:
            state: dict[str, Any] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return state | json.loads((file.metadata() or {}).get("extra", "{}"))
    except (SafetensorError, json.JSONDecodeError, OSError) as error:
        raise InputError(
            f"expected a safetensors file; got {str(path)!r} ({error}): restore it, or train again"
        ) from None


def restore(model: nn.Module, state: dict[str, Any], path: Path) -> None:
    """Give ``model`` the weights in ``path``; `InputError` where they are those of another one."""
    try:
        model.load_state_dict(state)
    except RuntimeError:
        own = model.state_dict()
        other = own.keys() ^ state.keys() or {name for name in own if _shape(own[name]) != _shape(state[name])}
        raise InputError(
            f"expected weights of the model that the recipe describes; got others in {str(path)!r} "
            f"({min(other)!r}, for one): use the recipe and the version of flowvae that they were trained with"
        ) from None


def copied(state: dict[str, Any]) -> dict[str, Any]:
    """A state dict of its own memory."""
    return {name: value.detach().clone() if _is_tensor(value) else value for name, value in state.items()}


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor)


def _shape(value: Any) -> Any:
    return value.shape if _is_tensor(value) else None
