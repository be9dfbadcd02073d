"""What is done with a run: train it from a recipe, open it again, evaluate it, and keep what a report shows."""

import json
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from flowvae import registry
from flowvae.config import PATHS, Config, EvaluationOptions
from flowvae.data import Data, Split, load_data, require_support, resolve_data, taken_over
from flowvae.data.rows import load_rows
from flowvae.engine import Fitted, fit, load, read_journal
from flowvae.engine.folder import Resume
from flowvae.engine.speed import Speed
from flowvae.engine.speed import bench as measure_speed
from flowvae.errors import InputError, nearest
from flowvae.evaluation import Evaluation, ancestral, evaluate, graph_of, reconstruct, rungs, sample
from flowvae.files import save_arrays, write_text
from flowvae.model import VAE, build_model
from flowvae.overrides import with_overrides
from flowvae.schema import Schema

SCALED = ("binarise", "dequantise", "flip", "scale")
"""Entries of ``data`` that say how rows become x, whichever of them a split holds."""

SHOWN = {"samples": 64, "reconstructions": 16, "ancestral": 12, "tempered": 25}


@dataclass(frozen=True)
class Opened:
    """A run that is open: its recipe, and its model with the best weights on the device where it is used."""

    path: Path
    config: Config
    model: VAE
    device: torch.device

    @property
    def schema(self) -> Schema | None:
        """What the columns mean, where data are sequences."""
        shape = self.model.event_shape
        return shape if isinstance(shape, Schema) else None

    @property
    def columns(self) -> list[str]:
        """What the columns of the data are called that the run was trained on; none where no table said so."""
        return list(((_record(self.path / "environment.json") or {}).get("data") or {}).get("columns", []))

    def shown(self, data: np.ndarray) -> np.ndarray:
        """Data as a reader takes them in: sequences in print, strings ``(N,)``; anything else as it is."""
        return data if self.schema is None else np.array([self.schema.text(datum) for datum in data])


def train(config: Config, path: str | Path, *, resume: Resume = False, quiet: bool = False) -> Fitted:
    """Train the recipe into the folder ``path``; the same recipe and seed give the same run.

    Raises `InputError` as `fit` does, and for data that contradict the likelihood.
    """
    model, data = untrained(config)
    tables = {"evaluation": config.evaluation.model_dump()}
    return fit(model, data, run=path, resume=resume, quiet=quiet, tables=tables, **config.options)


def bench(config: Config, steps: int) -> Speed:
    """The speed of the recipe's model in training and in single passes; `InputError` as for `train`."""
    model, data = untrained(config)
    return measure_speed(model, data, steps=steps, **config.options)


def untrained(config: Config) -> tuple[VAE, Data]:
    """The recipe's model as its seed makes it, and its data."""
    data = load_data(config.data)
    check_support(config, data)
    with torch.random.fork_rng([]):
        torch.manual_seed(config.seed)
        return build_model(config.model, data), data


def check_support(config: Config, data: Data) -> None:
    """Raise `InputError` where the recipe's likelihood is none of such data."""
    name = config.likelihood["name"]
    accepts = getattr(registry.component("likelihood", name), "accepts", (data.support,))
    require_support(data, name, accepts, config.likelihood.get("levels"))


def open_run(path: str | Path) -> Opened:
    """The run in the folder ``path`` with its best weights; `InputError` where there is none."""
    path = Path(path)
    try:
        model, config = load(path), Config.load(path / "config.toml")
    except InputError as error:
        raise _with_plugins(error, path) from None
    on_cpu = config.training["accelerator"] == "cpu" or not torch.cuda.is_available()
    device = torch.device("cpu" if on_cpu else "cuda")
    return Opened(path, config, model.to(device), device)


def _with_plugins(error: InputError, path: Path) -> InputError:
    """What is wrong with a run, and which plugins it was made with that are not loaded, as its components may be."""
    made = (_record(path / "environment.json") or {}).get("plugins", [])
    given = [word for plugin in made if Path(plugin) not in registry.plugins() for word in ("--plugin", plugin)]
    return InputError(f"{error}; the run was made with {shlex.join(given)}: give it again") if given else error


def rows(run: Opened, data: str | None = None, split: str | None = None, changes: Iterable[str] = ()) -> Split:
    """The data that a command on a run is about: a split of the run's own data, or all rows of a file.

    ``split`` is by default that of the recipe's evaluation. A file without splits has one, all its rows in order.
    Raises `InputError` as `data_of` does.
    """
    split = split or run.config.evaluation.split
    found = data_of(run, data, changes)
    if split not in found.splits:
        raise InputError(f"expected a split; got {split!r}{nearest(split, found.splits)}")
    return found.splits[split]


def data_of(run: Opened, data: str | None = None, changes: Iterable[str] = ()) -> Data:
    """The data of a run, or others as the run takes them.

    Args:
        run: says how data become x: ``data`` takes over its binarisation or dequantisation, and all options if it is of
            the same source.
        data: a data set by name, or a path; the run's own by default.
        changes: ``"data.scale=255"`` and so on.

    Raises `InputError` for data that cannot be read, for a run's own data that are no more what it was trained on, and
    for data that its model cannot take.
    """
    tables = {"data": dict(run.config.data)}
    if data is not None:
        source, own = resolve_data(data, sequences=run.schema is not None), run.config.data
        taken = own if source["name"] == own["name"] else taken_over(own, source["name"])
        tables["data"] = {**taken, **{key: source[key] for key in ("name", "path") if key in source}}
    tables = with_overrides(tables, changes)
    if set(tables) != {"data"}:
        raise InputError("expected a change of data on a trained run; got another: write --set data.scale=255")
    table = resolve_data(tables["data"])
    if data is None:
        require_as_dealt(run, table)
    found = load_data(table) if data is None or "path" not in table else load_rows(table, run.schema)
    if found.event_shape != run.model.event_shape:
        raise InputError(
            f"expected data of shape {run.model.event_shape}, as the run was trained on; got {found.event_shape}: "
            "choose other data, or train on these"
        )
    check_support(run.config, found)
    require_columns(run, found)
    if data is None:
        moved = {**run.config.data, **{key: table[key] for key in PATHS if key in table}}
        require_unchanged(run, found if moved == table else load_data(moved))
    return found


def require_as_dealt(run: Opened, table: dict[str, Any]) -> None:
    """Raise `InputError` where a changed ``table`` of a run's own data may deal them to other splits."""
    own = run.config.data
    for key in table:
        if table[key] != own.get(key) and key not in (*PATHS, *SCALED):
            raise InputError(
                f"expected the data as they were dealt for training; got a change of data.{key}, after which a split "
                "may hold training data: leave it out, or give other data by --data"
            )


def require_unchanged(run: Opened, data: Data) -> None:
    """Raise `InputError` unless ``data`` are what the run was trained on, split as they were then."""
    environment = json.loads((run.path / "environment.json").read_text(encoding="utf-8"))
    if data.digest != environment["data"]["digest"]:
        raise InputError(
            f"expected the data that {str(run.path)!r} was trained on; got others under the same name, whose split may "
            "hold training data: bring them back as they were, or give the others by --data"
        )


def require_columns(run: Opened, data: Data) -> None:
    """Raise `InputError` where tables name their columns, and the run was trained on others, or in another order."""
    for place, (own, other) in enumerate(zip(run.columns, data.columns, strict=False)):
        if own != other:
            raise InputError(
                f"expected the columns that the run was trained on; got {other!r} in place of {own!r}, number {place}, "
                "counted from 0: bring them into that order, and give them these names"
            )


def evaluate_rows(
    run: Opened, split: Split, options: EvaluationOptions, progress: Callable[[int, int], None] | None = None
) -> Evaluation:
    """`flowvae.evaluate` as the options say, on the run's device."""
    settings = options.model_dump(exclude={"split"})
    return evaluate(run.model, split.to(run.device), **settings, progress=progress)


def keep_evaluation(run: Opened, split: Split, record: dict[str, Any]) -> dict[str, Any] | None:
    """Keep an evaluation in the run, with what a report shows beside it; returns the one it takes the place of.

    ``evaluation.json`` is the record, ``samples.npz`` holds means of p(x | z) for draws from the prior, and
    ``reconstructions.npz`` the first data of the split as the model sees them, and their means, if it has latents;
    sequences in print. A model with a graph has it in ``structure.json``, and in ``ancestral.npz`` what its nodes do.
    One with a ladder has in ``rungs.npz`` what its top rungs know, and samples at several temperatures.
    """
    seed, place = record["seed"], run.path / "evaluation.json"
    before = _record(place)
    write_text(place, json.dumps(record, indent=1) + "\n")
    save_arrays(run.path / "samples.npz", samples=run.shown(sample(run.model, SHOWN["samples"], seed=seed)))
    keep_structure(run, record["kl"], seed)
    if run.model.latents.infers:
        pairs = reconstruct(run.model, split.take(SHOWN["reconstructions"]), seed=seed)
        save_arrays(run.path / "reconstructions.npz", **{name: run.shown(data) for name, data in pairs.items()})
    if arrays := rungs(run.model, split.take(SHOWN["reconstructions"]), SHOWN["tempered"], seed):
        save_arrays(run.path / "rungs.npz", **arrays)
    return before


def keep_structure(run: Opened, kl: Sequence[float] = (), seed: int = 0) -> dict[str, Any] | None:
    """Keep the graph of the run's model in it, with ancestral samples, and return it; None where there is none.

    ``kl`` is that of the latent groups; by default that of the evaluation, or of the best validation, if there is one.
    """
    records = require_journal(run)
    if not kl:
        best = [record["kl"] for record in records if record["kind"] == "validation" and record["best"]]
        kl = (_record(run.path / "evaluation.json") or {}).get("kl") or (best[-1] if best else ())
    graph = graph_of(run.model, kl, [record for record in records if record["kind"] == "validation"])
    if graph:
        write_text(run.path / "structure.json", json.dumps(graph, indent=1) + "\n")
        if run.schema is None:  # a figure shows pictures
            save_arrays(run.path / "ancestral.npz", **ancestral(run.model, SHOWN["ancestral"], seed))
    return graph


def require_journal(run: Opened) -> list[dict[str, Any]]:
    """The records of the run's journal, none where it is gone; `InputError` before any work is done for nothing."""
    return read_journal(journal) if (journal := run.path / "journal.jsonl").is_file() else []


def _record(place: Path) -> dict[str, Any] | None:
    """The record that is there, if one can be read."""
    try:
        return dict(json.loads(place.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):
        return None
