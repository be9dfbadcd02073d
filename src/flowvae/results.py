"""The results of a study on file: one JSON of figures and provenance, and small extracts for curves and pictures."""

import fcntl
import json
import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from flowvae.errors import InputError
from flowvae.files import load_arrays, load_json, require_writable, save_arrays, write_text
from flowvae.report.runs import Run
from flowvae.study import Study

Record = dict[str, Any]

POINTS = 200  # of a curve, or a few more
PICTURES = {"samples": 36, "originals": 10, "means": 10}  # of each row


@dataclass(frozen=True)
class Results:
    """The files of a study's results: NAME.json, NAME-curves.json and NAME.npz in ``folder``.

    Every change is made under a lock and atomically, so that runs in several processes add theirs one by one.
    """

    folder: Path
    name: str
    source: str = ""
    """The study's file, where it is none of the package."""

    @property
    def path(self) -> Path:
        """Figures of every run, and where they are from."""
        return self.folder / f"{self.name}.json"

    @property
    def curves(self) -> Path:
        """{row: {seed: [[epoch, training ELBO, validation ELBO, validation rate], ...]}}."""
        return self.folder / f"{self.name}-curves.json"

    @property
    def pictures(self) -> Path:
        """Samples, originals and means of each row's first seed, as ROW/samples and so on."""
        return self.folder / f"{self.name}.npz"

    @property
    def elsewhere(self) -> list[str]:
        """What a command needs to find the folder, if it is not the usual one."""
        return [] if self.folder == Path("results") else ["--results", str(self.folder)]

    def read(self) -> Record:
        """The results; `InputError` where there are none yet."""
        if not self.path.is_file():
            made = ["flowvae", "study", "run", self.source or self.name, *self.elsewhere]
            raise InputError(
                f"expected the results of a study at {str(self.path)!r}; got no such file: "
                f"make them with '{shlex.join(made)}'"
            )
        return load_json(self.path)

    def prepare(self) -> None:
        """Make the folder; `InputError` where nothing can be written in it, before hours are spent on results."""
        require_writable(self.folder)

    def require_of(self, study: Study) -> None:
        """Raise `InputError` where the results there are those of another study, whose file has the same name."""
        known = self.runs()
        if not known or (title := self.read().get("title")) == study.title:
            return
        rows = {row.name: row for row in study.rows}
        own = (
            run["config_digest"] == study.digest(rows[row], seed) for (row, seed), run in known.items() if row in rows
        )
        if not any(own):
            raise InputError(
                f"expected results of {study.title!r} in {str(self.path)!r}; got those of another study of that name, "
                f"{title!r}: rename the file, or name other folders by --results and --runs"
            )

    def has(self, row: str, seed: int, digest: str) -> bool:
        """Whether there is a result of that run, made from the recipe of that digest."""
        run = self.runs().get((row, seed))
        return run is not None and run["config_digest"] == digest

    def runs(self) -> dict[tuple[str, int], Record]:
        """The results of every run by its row and seed, whatever recipe they were made from."""
        return _runs(self.read()) if self.path.is_file() else {}

    def of(self, study: Study) -> Record:
        """The results as ``study`` now is: what other recipes than its own gave is "earlier", and in no row."""
        record = self.read()
        return _arranged(study, _runs(record), record["provenance"])

    def add(
        self,
        study: Study,
        row: str,
        run: Record,
        provenance: Record,
        curve: list[list[float | None]],
        pictures: Mapping[str, np.ndarray],
    ) -> None:
        """Add a run of ``row``, in place of an earlier one of its seed; nothing else is lost, of whatever recipe."""
        with locked(self.folder):
            record = _arranged(study, self.runs() | {(row, run["seed"]): run}, provenance)
            if study.pictures:
                curves = load_json(self.curves) if self.curves.is_file() else {}
                curves.setdefault(row, {})[str(run["seed"])] = curve
                _write_json(self.curves, curves)
            (mine,) = [entry["runs"] for entry in record["rows"] if entry["name"] == row]
            if run["seed"] == mine[0]["seed"]:
                self._keep(row, pictures)
            _write_json(self.path, record)

    def _keep(self, row: str, pictures: Mapping[str, np.ndarray]) -> None:
        """Put the pictures of a row in place of all that it had, which may be of another recipe."""
        before = load_arrays(self.pictures)
        arrays = {name: array for name, array in before.items() if name.partition("/")[0] != row}
        arrays |= {f"{row}/{kind}": _small(array) for kind, array in pictures.items()}
        if before or arrays:
            save_arrays(self.pictures, **arrays)


def _runs(record: Record) -> dict[tuple[str, int], Record]:
    entries = [*record["rows"], *record.get("earlier", [])]
    return {(entry["name"], run["seed"]): run for entry in entries for run in entry["runs"]}


def _arranged(study: Study, runs: Mapping[tuple[str, int], Record], provenance: Record) -> Record:
    """The results file: in ``rows`` the runs of the study's recipes, in ``earlier``, if there are any, all others."""
    known = {row.name: row for row in study.rows}
    own: dict[str, list[Record]] = {name: [] for name in known}
    others: dict[str, list[Record]] = {}
    for (name, seed), run in sorted(runs.items(), key=itemgetter(0)):
        present = name in known and run["config_digest"] == study.digest(known[name], seed)
        (own if present else others).setdefault(name, []).append(run)
    rows = [
        {
            "name": row.name,
            "label": row.label or row.name,
            **({"published": row.published} if row.published else {}),
            "runs": own[row.name],
        }
        for row in study.rows
    ]
    record: Record = {"study": study.name, "title": study.title, "description": study.description}
    record |= {"axes": study.places} if study.axes else {}
    record |= {"pairs": study.pairs} if study.pairs else {}
    record |= {"metrics": study.metrics, "rows": rows}
    record |= {"earlier": [{"name": name, "runs": found} for name, found in others.items()]} if others else {}
    return record | {"provenance": provenance}


def curve(run: Run) -> list[list[float | None]]:
    """[epoch, training ELBO, validation ELBO, validation rate]: some `POINTS` epochs with the best and the last."""
    train, validation = run.history.train, run.history.validation
    trained = dict(zip(train.epoch, train.elbo, strict=True))
    stride = -(-len(validation) // POINTS) or 1
    kept = {*range(0, len(validation), stride), len(validation) - 1, validation.best}
    return [
        [float(epoch), *(_rounded(value) for value in (trained.get(epoch), elbo, rate))]
        for i, (epoch, elbo, rate) in enumerate(zip(validation.epoch, validation.elbo, validation.rate, strict=True))
        if i in kept
    ]


def _rounded(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), 3)


def pictures(run: Run) -> dict[str, np.ndarray]:
    """Some samples, originals and means of a run, as far as it has them."""
    originals, means = run.pairs or (None, None)
    found = {"samples": run.samples, "originals": originals, "means": means}
    return {kind: array[: PICTURES[kind]] for kind, array in found.items() if array is not None}


def run_folders(results: Record, runs: Path) -> list[Path]:
    """The folders in ``runs`` of the runs that the results tell of, as far as they are there."""
    return [folder for folder in _folders(results, runs).values() if _is_run(folder)]


def seeds_elsewhere(results: Record, runs: Path) -> dict[str, list[int]]:
    """The seeds of each row whose results are here, but whose folder in ``runs`` is not."""
    found: dict[str, list[int]] = {}
    for (row, seed), folder in _folders(results, runs).items():
        if not _is_run(folder):
            found.setdefault(row, []).append(seed)
    return found


def _folders(results: Record, runs: Path) -> dict[tuple[str, int], Path]:
    return {
        (row["name"], run["seed"]): runs / results["study"] / row["name"] / f"seed-{run['seed']}"
        for row in results["rows"]
        for run in row["runs"]
    }


def _is_run(folder: Path) -> bool:
    return (folder / "config.toml").is_file()


@contextmanager
def locked(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Have ``folder`` to oneself among processes; `InputError` when another has it and ``wait`` is off."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    except BlockingIOError:
        raise InputError(
            f"expected {str(folder)!r} to be free; got it in use by another process: wait for it, or stop it"
        ) from None
    finally:
        os.close(handle)


def _small(array: np.ndarray) -> np.ndarray:
    """Bits and text as they are, values in [0, 1] as bytes, others in half precision."""
    if array.dtype.kind == "U":
        return array
    if ((array == 0) | (array == 1)).all():
        return array.astype(np.uint8)
    if array.min() >= 0 and array.max() <= 1:
        return np.round(255 * array).astype(np.uint8)
    return array.astype(np.float16)


def _write_json(path: Path, record: Record) -> None:
    write_text(path, _layout(record) + "\n")


def _layout(value: Any, depth: int = 0) -> str:
    """JSON in which only what is long is broken into lines: a point of a curve is one line."""
    flat = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if depth > 6 or len(flat) < 100 or not isinstance(value, dict | list):
        return flat
    pad, end = "\n" + " " * (depth + 1), "\n" + " " * depth
    if isinstance(value, list):
        return "[" + pad + ("," + pad).join(_layout(entry, depth + 1) for entry in value) + end + "]"
    entries = (f"{json.dumps(key)}: {_layout(entry, depth + 1)}" for key, entry in value.items())
    return "{" + pad + ("," + pad).join(entries) + end + "}"
