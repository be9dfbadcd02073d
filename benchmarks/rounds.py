"""Contestants in turn: each a process that stays alive, of which one runs while the others sleep."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.contests import Contest
from benchmarks.settings import Settings

ROOT = Path(__file__).parents[1]
PEAK_SLICE = 0.25  # seconds: some ten products


class Worker:
    """The process of a contestant, told to run a slice at a time."""

    def __init__(self, function: str, options: dict[str, Any], settings: Settings, data: Path, folder: Path):
        folder.mkdir(parents=True)
        job = {"function": function, "options": options, "settings": asdict(settings), "data": str(data)}
        self.errors = folder / "stderr"
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.worker", json.dumps(job | {"folder": str(folder)})],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT,
                env=environment(settings),
            )  # fmt: skip

    def run(self, seconds: float) -> dict[str, float]:
        """Run for ``seconds``, and on to the end of the step under way."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(f"{seconds}\n")
            self.process.stdin.flush()
            return json.loads(self.process.stdout.readline())
        except (BrokenPipeError, json.JSONDecodeError):
            self.process.wait()
            raise RuntimeError(f"a contestant failed:\n{self.errors.read_text()[-2000:]}") from None

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def run(contest: Contest, settings: Settings, data: Path, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """The record of a contest: work a second of every entry in every round."""
    with workers(contest, settings, data, folder) as by_name:
        say(f"{contest.title}: {len(by_name)} contestants start")
        # what comes before does not count: batches that a run looks at, then imports and compilation in its first steps
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for _ in range(2):
                list(pool.map(lambda worker: worker.run(contest.settle), by_name.values()))
        rounds = []
        for number in range(contest.rounds):
            speeds = {}
            for entry in contest.entries:
                worker = by_name[entry.name]
                if contest.settle and not entry.is_peak:
                    worker.run(contest.settle)
                answer = worker.run(PEAK_SLICE if entry.is_peak else contest.slice)
                speeds[entry.name] = answer["work"] / answer["seconds"]
            rounds.append(speeds)
            say(f"round {number + 1}/{contest.rounds}: " + ", ".join(f"{n} {v:,.4g}" for n, v in speeds.items()))
    entries = [{"name": e.name, "label": e.label, "peak": e.peak} for e in contest.entries]
    kept = {key: getattr(contest, key) for key in ("name", "title", "unit", "flop", "yardsticks")}
    return {**kept, "entries": entries, "rounds": rounds}


@contextmanager
def workers(contest: Contest, settings: Settings, data: Path, folder: Path) -> Iterator[dict[str, Worker]]:
    """A worker for every entry, by name; all ended on the way out."""
    with ExitStack() as stack:
        by_name = {}
        for entry in contest.entries:
            options = entry.options if entry.is_peak else entry.options | contest.options
            worker = Worker(entry.function, options, settings, data, folder / contest.name / entry.name)
            by_name[entry.name] = worker
            stack.callback(worker.close)
        yield by_name


def environment(settings: Settings) -> dict[str, str]:
    """The environment of a worker: its number of threads, and malloc as it comes."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MALLOC_")}
    return kept | dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(settings.threads))
