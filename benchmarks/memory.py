"""How much memory an evaluation takes beyond what the process holds before it."""

from pathlib import Path
from typing import Any

from benchmarks.rounds import Worker
from benchmarks.settings import Settings

MIB = 2**20
BUDGETS = (64, 256)  # MiB; the second is the default of `evaluate`


def run(settings: Settings, data: Path, folder: Path) -> list[dict[str, Any]]:
    """What a process holds before and during, for every budget, without and with the flow, each in a fresh process."""
    records = []
    for flow in (False, True):
        for budget in BUDGETS:
            options = {"flow": flow, "budget": f"{budget}MiB"}
            place = folder / f"memory-{flow}-{budget}"
            worker = Worker("with_flowvae.measure_memory", options, settings, data, place)
            try:
                answer = worker.run(0)
            finally:
                worker.close()
            records.append({
                "flow": flow, "samples": settings.memory_samples, "points": settings.memory_points,
                "budget_mib": budget, **{f"{when}_mib": answer[when] / MIB for when in ("before", "ready", "peak")},
            })  # fmt: skip
    return records
