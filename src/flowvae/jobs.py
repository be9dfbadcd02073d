"""Running a study: what is missing, one run after another or several processes at a time."""

import multiprocessing
import os
import runpy
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import torch

from flowvae import registry
from flowvae.config import Config
from flowvae.data import load_data
from flowvae.engine import Fitted, Interrupted
from flowvae.errors import InputError
from flowvae.evaluation import Evaluation
from flowvae.evaluation.context import evaluating
from flowvae.measures import Measured
from flowvae.report.runs import Run, read_runs
from flowvae.results import Record, Results, curve, locked, pictures
from flowvae.runs import Opened, evaluate_rows, keep_evaluation, open_run, rows, train
from flowvae.study import Row, Study

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """One run of a study, and the folder of all runs: its own is STUDY/ROW/seed-SEED in it."""

    study: Study
    row: Row
    seed: int
    runs: Path

    def __str__(self) -> str:
        return f"{self.row.name}, seed {self.seed}"

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.runs / self.study.name / self.row.name / f"seed-{self.seed}"

    @property
    def command(self) -> str:
        """What makes this run, anywhere."""
        return registry.command_line("study", "run", self.study.source, "--rows", self.row.name, "--seeds", self.seed)


def jobs_of(study: Study, runs: Path, rows: Sequence[str] = (), seeds: Sequence[int] = ()) -> list[Job]:
    """The jobs of the rows and seeds that are named, or of all: seed by seed, so that half a study fills a table."""
    chosen = [study.row(name) for name in dict.fromkeys(rows)] or study.rows
    return [Job(study, row, seed, runs) for seed in dict.fromkeys(seeds or study.seeds) for row in chosen]


def run_jobs(
    jobs: Sequence[Job],
    results: Results,
    *,
    parallel: int = 1,
    quiet: bool = False,
    tell: Tell = print,
) -> None:
    """Run the ``jobs`` whose results are missing, or were made from another recipe; called again, go on.

    ``parallel`` processes at a time share the cores; a script that asks for them keeps its own work under
    ``if __name__ == "__main__":``, as with all of `multiprocessing`. Raises `InputError` when runs failed, once the
    others are done, and `KeyboardInterrupt` once those under way are saved.
    """
    study = jobs[0].study
    results.prepare()
    results.require_of(study)
    missing = [job for job in jobs if not results.has(job.row.name, job.seed, study.digest(job.row, job.seed))]
    known = results.runs()
    for job in missing:
        if (job.row.name, job.seed) in known:
            tell(f"{job}: made from another recipe; that result is kept, outside the table, until the new one is there")
    if len(missing) < len(jobs):
        tell(f"{study.name}: {len(jobs) - len(missing)} of {len(jobs)} runs are done")
    try:
        if parallel > 1 and len(missing) > 1:
            failed = _in_processes(missing, results, parallel, tell)
        else:
            failed = _one_by_one(missing, results, quiet, tell)
    except KeyboardInterrupt as stopped:
        number = getattr(stopped, "code", 128 + signal.SIGINT) - 128
        told = "interrupted; what is trained is kept: run the same command again to go on"
        raise Interrupted(told, number) from None
    if len(missing) == 1 and failed:
        raise InputError(failed[0][1])
    if failed:
        told = "; ".join(f"{job}: {problem}" for job, problem in failed)
        raise InputError(
            f"expected all runs to finish; got {len(failed)} of {len(missing)} that failed ({told}): "
            "run the same command again once that is mended"
        )


def run_job(job: Job, results: Results, *, quiet: bool = False, tell: Tell = print) -> None:
    """Train, or go on training; evaluate once; add the result."""
    _set_aside(job, tell)
    config = job.study.config(job.row, job.seed)
    with locked(job.folder, wait=False):
        fitted = train(config, job.folder, resume="auto", quiet=quiet)
        opened = open_run(job.folder)
        evaluation = _evaluated(opened, config)
        measured = _measured(opened, config, job.study.measures)
        (run,) = read_runs([job.folder])
        record, provenance = _record(job, run, fitted, evaluation, measured)
        shown = pictures(run) if job.study.pictures else {}
        results.add(job.study, job.row.name, record, provenance, curve(run), {**shown, **measured.arrays})


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _one_by_one(jobs: Sequence[Job], results: Results, quiet: bool, tell: Tell) -> list[tuple[Job, str]]:
    failed = []
    for number, job in enumerate(jobs, 1):
        tell(f"{job}: run {number} of {len(jobs)}")
        try:
            run_job(job, results, quiet=quiet, tell=tell)
            tell(f"{job}: {_told(job, results)}")
        except InputError as error:
            failed.append((job, str(error)))
    return failed


def _in_processes(jobs: Sequence[Job], results: Results, parallel: int, tell: Tell) -> list[tuple[Job, str]]:
    waiting, failed, done = list(jobs), [], 0
    under_way: dict[BaseProcess, Job] = {}
    try:
        while waiting or under_way:
            while waiting and len(under_way) < parallel:
                job = waiting.pop(0)
                try:
                    _set_aside(job, tell)
                    under_way[_start(job, results, threads=max(1, cores() // parallel))] = job
                    tell(f"{job}: started, log in {_log(job)}")
                except InputError as error:
                    failed.append((job, str(error)))
            for process in [process for process in under_way if process.exitcode is not None]:
                job, done = under_way.pop(process), done + 1
                if process.exitcode:
                    failed.append((job, f"see {_log(job)}"))
                told = "failed" if process.exitcode else _told(job, results)
                tell(f"{job}: {told} ({done} of {len(jobs)})")
            time.sleep(0.05)
    finally:
        for process in under_way:
            if process.pid and process.is_alive():
                os.kill(process.pid, signal.SIGINT)
        for process in under_way:
            process.join()
    return failed


def _told(job: Job, results: Results) -> str:
    """The result of a job in words."""
    rows = [row["runs"] for row in results.read()["rows"] if row["name"] == job.row.name]
    (run,) = [run for run in rows[0] if run["seed"] == job.seed]
    return f"ELBO {run['elbo']:.2f}, log p(x) {run['log_likelihood']:.2f}, {run['seconds']:.0f} s of training"


def _evaluated(run: Opened, config: Config) -> Evaluation:
    held_out = rows(run, split=config.evaluation.split)
    evaluation = evaluate_rows(run, held_out, config.evaluation)
    keep_evaluation(run, held_out, {"split": config.evaluation.split, **evaluation.to_dict()})
    return evaluation


def _measured(run: Opened, config: Config, measures: Sequence[registry.Spec]) -> Measured:
    """All measures of a run as one: their figures, and their arrays under the measure's name."""
    figures: dict[str, float] = {}
    arrays: dict[str, np.ndarray] = {}
    data = load_data(config.data)
    for spec in measures:
        name = registry.resolve("measure", spec)["name"]
        with evaluating(run.model, config.evaluation.seed):
            found = registry.build("measure", spec, run.model, data, data.splits[config.evaluation.split])
        figures |= found.figures
        arrays |= {f"{name}/{array}": values for array, values in found.arrays.items()}
    return Measured(figures, arrays)


def _start(job: Job, results: Results, threads: int) -> BaseProcess:
    """A process for one job, forked from one that has imported all that takes seconds."""
    job.folder.mkdir(parents=True, exist_ok=True)
    arguments = ["study", "run", job.study.source, "--rows", job.row.name, "--seeds", str(job.seed)]
    arguments += ["--runs", str(job.runs), "--results", str(results.folder)]
    arguments += [argument for path in registry.plugins() for argument in ("--plugin", str(path))]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["flowvae.jobs", "lightning_fabric", "torch._dynamo"])
    process = context.Process(target=_in_process, args=(arguments, _log(job), threads))
    process.start()
    return process


def _in_process(arguments: list[str], log: Path, threads: int) -> None:
    """`python -m flowvae`, in a session of its own: an interrupt reaches it once, from where it was started."""
    os.setsid()
    torch.set_num_threads(threads)
    with log.open("ab") as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    sys.argv[1:] = arguments
    runpy.run_module("flowvae", run_name="__main__", alter_sys=True)


def _log(job: Job) -> Path:
    return job.folder / "log.txt"


def _set_aside(job: Job, tell: Tell) -> None:
    """Move away what the folder holds of a run from another recipe."""
    with locked(job.folder, wait=False):
        if not (job.folder / "config.toml").is_file() or _is_of_its_recipe(job):
            return
        number = 1
        while (aside := job.folder.with_name(f"{job.folder.name}.aside-{number}")).exists():
            number += 1
        job.folder.rename(aside)
    tell(f"{job}: the run of another recipe is now {aside}")


def _is_of_its_recipe(job: Job) -> bool:
    wanted = job.study.config(job.row, job.seed)
    try:
        return Config.load(job.folder / "config.toml").digest() == wanted.digest()
    except InputError:  # it names what no longer exists
        return False


def _record(job: Job, run: Run, fitted: Fitted, evaluation: Evaluation, measured: Measured) -> tuple[Record, Record]:
    """The run's entry in the results, and the provenance that the study's runs share."""
    environment = run.environment
    kept = {key: environment.get(key) for key in ("commit", "changed_files", "machine", "versions")}
    data = {key: environment["data"][key] for key in ("name", "digest")} | {"binarise": evaluation.binarise}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    figures = {
        "elbo": evaluation.elbo,
        "elbo_se": evaluation.elbo_standard_error,
        "log_likelihood": evaluation.log_likelihood,
        "log_likelihood_se": evaluation.standard_error,
        "gap": evaluation.gap,
        "rate": evaluation.rate,
        "distortion": evaluation.distortion,
        "ess": evaluation.ess,
        "active_units": None if None in evaluation.active_units else sum(filter(None, evaluation.active_units)),
        "bits_per_dim": evaluation.bits_per_dim,
        **measured.figures,
    }
    record = {
        "seed": job.seed,
        **{name: value for name, value in figures.items() if value is not None},
        "samples": evaluation.samples,
        "count": evaluation.count,
        "epochs": fitted.epochs,
        "best_epoch": fitted.best_epoch,
        "validation_elbo": fitted.best_elbo,
        "seconds": round(fitted.seconds, 1),
        "parameters": sum(p.numel() for p in fitted.model.parameters()),
        "config_digest": job.study.digest(job.row, job.seed),
        "provenance": {"command": job.command, "date": now, **kept, "data": data},
    }
    evaluated = {"samples": evaluation.samples, "seed": evaluation.seed}
    command = registry.command_line("study", "run", job.study.source)
    return record, {"command": command, "date": now, **kept, "data": data, "evaluation": evaluated}
