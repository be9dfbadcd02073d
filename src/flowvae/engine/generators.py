"""torch's generators: where they stand, and draws that leave them there."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def rng_state(device: torch.device) -> dict[str, Tensor]:
    """The state of the generators that training on ``device`` draws from."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def set_rng_state(state: dict[str, Tensor], device: torch.device) -> None:
    """Go back to a state of the generators."""
    torch.set_rng_state(state["cpu"].cpu())
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)


@contextmanager
def aside(device: torch.device) -> Iterator[None]:
    """Inside, draws on the CPU and on ``device`` go on from the generators; then these are where they were.

    >>> with aside(torch.device("cpu")):
    ...     first = torch.rand(3)
    >>> torch.rand(3).equal(first)
    True
    """
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield
