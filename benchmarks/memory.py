"""How much memory an evaluation takes beyond what the process holds before it."""

from pathlib import Path
from typing import Any

from benchmarks.rounds import Worker
from benchmarks.settings import Settings

MIB = 2**20
BUDGETS = (64, 256)  # MiB; the second is the default of `evaluate`


def run(settings: Settings, data: Path, folder: Path) -> list[dict[str, Any]]:
    """Peak over baseline for every budget, without and with the flow, each in a fresh process."""
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
                "budget_mib": budget, "baseline_mib": answer["before"] / MIB, "peak_mib": answer["peak"] / MIB,
            })  # fmt: skip
    return records
