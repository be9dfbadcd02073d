"""The journal of a run as curves: the terms of the bound against the epoch."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

TERMS = ("elbo", "rate", "distortion")


@dataclass(frozen=True)
class Curve:
    """The terms in nats per datum at each epoch, arrays of one length; ``best`` indexes the epoch kept as best.

    ``step`` counts the steps of training up to the epoch's last record, where a journal tells them.
    """

    epoch: np.ndarray
    elbo: np.ndarray
    rate: np.ndarray
    distortion: np.ndarray
    best: int | None = None
    step: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.epoch)


@dataclass(frozen=True)
class History:
    """What a journal tells. ``ended_early``: patience ran out, and no step came after.

    ``damaged`` are the numbers of the lines that cannot be read; ``cut_short``: it is the last alone, as after a kill.
    """

    train: Curve
    validation: Curve
    events: tuple[str, ...]
    ended_early: bool
    damaged: tuple[int, ...] = ()
    cut_short: bool = False


def read_history(path: Path) -> History:
    """Read a journal; one that does not exist is empty, and damaged lines are left out and named by their number.

    Where a step is told twice, as when a copy of a run was resumed, the later record replaces the earlier ones from
    that step on.
    """
    kinds: dict[str, list[dict[str, Any]]] = {"train": [], "validation": [], "event": []}
    damaged = []
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            records = kinds[record["kind"]]
            if record["kind"] != "event":
                while records and records[-1]["step"] >= record["step"]:
                    records.pop()
        except (json.JSONDecodeError, TypeError, KeyError):
            damaged.append(number)
            continue
        records.append(record)
    events = [str(record.get("message", "")) for record in kinds["event"]]
    last = max((record["step"] for kind in ("train", "validation") for record in kinds[kind]), default=0)
    ended = any(" ended: " in str(r.get("message")) and r.get("step", 0) >= last for r in kinds["event"])
    return History(
        train=_curve(kinds["train"]),
        validation=_curve(kinds["validation"]),
        events=tuple(events),
        ended_early=ended,
        damaged=tuple(damaged),
        cut_short=damaged == [len(lines)],
    )


def _curve(records: Sequence[Mapping[str, Any]]) -> Curve:
    """One point an epoch: the mean of the epoch's records, each a mean over equally many steps."""
    epochs: dict[float, list[Mapping[str, Any]]] = {}
    for record in records:
        epochs.setdefault(_number(record.get("epoch")), []).append(record)
    terms = {
        term: np.array([np.mean([_number(r.get(term)) for r in group]) for group in epochs.values()]) for term in TERMS
    }
    best = [i for i, group in enumerate(epochs.values()) if any(record.get("best") for record in group)]
    step = np.array([_number(group[-1].get("step")) for group in epochs.values()])
    return Curve(epoch=np.array(list(epochs), dtype=float), best=best[-1] if best else None, step=step, **terms)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else np.nan
