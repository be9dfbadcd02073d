"""The code that is compared: functions ``train`` and ``evaluate`` that pass a gate before every step and never end."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gate import Gate
from benchmarks.settings import Settings


@dataclass(frozen=True)
class Place:
    """Where a contestant runs: ``data`` is the file of pictures, ``folder`` a scratch folder of its own."""

    settings: Settings
    data: Path
    folder: Path
    gate: Gate


Contestant = Callable[[Place], None]
