"""Everything a run needs to go on as if it had not stopped: bit for bit on the CPU."""

import dataclasses
import math
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from flowvae.engine.step import MEASURES
from flowvae.errors import InputError
from flowvae.files import atomically

FORMAT = 1


@dataclass
class State:
    """Where a run stands. Counters count what is done; ``position`` counts the steps of the epoch under way.

    The order of an epoch's data is a function of seed and epoch, so that its position is all there is to keep.
    """

    phase: int = 0
    phase_epoch: int = 0
    epoch: int = 0
    position: int = 0
    step: int = 0
    clock: int = 0
    """Steps since the last reset: the objective's time."""
    skipped: int = 0
    """Steps skipped in a row, for a value that is not finite or a gradient too large."""
    best: float | None = None
    best_epoch: int | None = None
    best_weights: dict[str, Any] | None = None
    stale: int = 0
    """Epochs since the best validation, but for those in which beta rose."""
    beta: float = 1.0
    """The objective's weight of the rate in the last step."""
    lr: float = 0.0
    """The learning rate of the last step."""
    sums: Tensor = field(default_factory=lambda: torch.zeros(len(MEASURES)))
    """Sums of the measures since the last line of the journal, over ``counted`` steps."""
    counted: int = 0
    steepest: Tensor = field(default_factory=lambda: torch.zeros(()))
    """The largest norm of a gradient in these steps, before clipping."""
    compiled: bool = False
    precision: str | None = None
    """What ``training.precision`` came to; None in a checkpoint of an earlier version."""
    seconds: float = 0.0
    finished: bool = False

    def to(self, device: torch.device) -> None:
        """Bring what every step adds to there."""
        self.sums, self.steepest = self.sums.to(device), self.steepest.to(device)

    def judge(self, elbo: float, epochs: int) -> bool:
        """Whether a validation is the best so far; if so it is noted, else ``epochs`` more have passed without one."""
        best = math.isfinite(elbo) and (self.best is None or elbo > self.best)
        self.stale = 0 if best else self.stale + epochs
        if best:
            self.best, self.best_epoch = elbo, self.epoch
        return best

    def forget_best(self) -> None:
        """From here on another model is judged."""
        self.best, self.best_epoch, self.best_weights = None, None, None


def save_checkpoint(path: Path, state: State, **parts: Any) -> None:
    """Write the state and the state dicts in ``parts``, atomically."""
    content = {"format": FORMAT, "state": _fields(state), **parts}
    atomically(path, lambda part: torch.save(content, part))


def load_checkpoint(path: Path) -> tuple[State, dict[str, Any]]:
    """Read a checkpoint on the CPU, running no code from it; `InputError` when it is not one."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        if content.pop("format") != FORMAT:
            raise InputError(f"expected a checkpoint of format {FORMAT}; got another in {str(path)!r}: start a new run")
        return State(**content.pop("state")), content
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, AttributeError, TypeError) as error:
        kind = type(error).__name__  # torch's own words advise to run the file's code
        got = f"expected a checkpoint; got {str(path)!r}, which cannot be read ({kind})"
        raise InputError(f"{got}: start a new run") from None


def _fields(state: State) -> dict[str, Any]:
    return {entry.name: getattr(state, entry.name) for entry in dataclasses.fields(state)}
