"""Steps that must not reach the weights: what is wrong with one, and whether the run may go on without it."""

from dataclasses import dataclass
from typing import Literal

from flowvae.errors import InputError

MOST_SKIPPED = 20
"""Steps in a row that a run may go on without."""

REMEDIES = {
    "stop": "lower optimiser.lr, set training.clip, or resume with training.on_nonfinite = 'skip'",
    "skip": "lower optimiser.lr or set training.clip in a new run",
}


class TrainingError(InputError):
    """Training cannot go on: the message says why, and what to try."""


@dataclass(frozen=True)
class Fault:
    """What was found in a step, and what is expected there; a step with a ``skippable`` one may be left out."""

    found: str
    expected: str
    remedy: str
    skippable: bool

    def may_be_left_out(self, skipped: int) -> bool:
        """Whether the run may go on, after ``skipped`` steps in a row that were left out."""
        return self.skippable and skipped < MOST_SKIPPED

    def error(self, where: str, skipped: int) -> TrainingError:
        """What stops the run at ``where``, after ``skipped`` steps in a row that were left out."""
        after = f" after {skipped} skipped steps in a row" if skipped else ""
        return TrainingError(f"expected {self.expected}; got, at {where}: {self.found}{after}: {self.remedy}")


def not_finite(found: str, way: Literal["stop", "skip"]) -> Fault:
    """A value that is not finite, as `nonfinite` names it; ``way`` is `Training.on_nonfinite`."""
    return Fault(found, "finite numbers in training", REMEDIES[way], way == "skip")


def too_steep(norm: float, most: float) -> Fault:
    """A gradient of a greater norm than `Training.skip` bears."""
    remedy = "raise training.skip, or lower optimiser.lr"
    return Fault(f"a gradient of norm {norm:g}", f"a norm of at most {most:g}", remedy, skippable=True)
