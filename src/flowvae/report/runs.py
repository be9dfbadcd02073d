"""One run folder, read as far as it goes: what is not there is named, with the command that makes it."""

import json
import re
import shlex
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flowvae.errors import InputError
from flowvae.files import UNREADABLE
from flowvae.report.curves import History, read_history

REMEDY = "name a folder that 'flowvae train RECIPE --out RUN' made"


@dataclass(frozen=True)
class Missing:
    """A part of the report that a run does not have, and the command that makes it."""

    what: str
    command: str


@dataclass(frozen=True)
class Run:
    """What a run folder holds. ``name`` is unique on a page; runs that differ only by seed share ``group``."""

    name: str
    group: str
    config: dict[str, Any]
    config_text: str
    environment: dict[str, Any]
    history: History
    evaluation: dict[str, Any] | None
    samples: np.ndarray | None
    pairs: tuple[np.ndarray, np.ndarray] | None
    """Originals, and means of p(x | z) for z drawn from q(z | x)."""
    missing: tuple[Missing, ...]
    structure: dict[str, Any] | None = None
    """The graph of the model, where it has one."""
    ancestral: tuple[np.ndarray, np.ndarray] | None = None
    """Ancestral samples, a row a node: the node held fixed, the node resampled."""
    rungs: dict[str, np.ndarray] | None = None
    """Pictures of a ladder by caption: reconstructions from its top rungs, and samples at several temperatures."""

    @property
    def epochs(self) -> tuple[int, int | None]:
        """Epochs trained and validated; and epochs asked for, where the config says."""
        return _epochs(self.history, self.config)


def read_runs(folders: Iterable[Path]) -> list[Run]:
    """Read each folder once, in the order given.

    Raises InputError for a folder that is no run, that is, holds no readable ``config.toml``.
    """
    paths = list(dict.fromkeys(Path(folder) for folder in folders))
    return [_read(path, name, group) for path, (name, group) in zip(paths, _names(paths), strict=True)]


def _read(folder: Path, name: str, group: str) -> Run:
    text = _config_text(folder)
    try:
        config = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"expected TOML in {str(folder / 'config.toml')!r}; got {error}: {REMEDY}") from None
    history = read_history(folder / "journal.jsonl")
    environment, evaluation = _json(folder / "environment.json"), _json(folder / "evaluation.json")
    samples = _arrays(folder / "samples.npz", "samples")
    pairs = _arrays(folder / "reconstructions.npz", "originals", "means")
    ancestral = _arrays(folder / "ancestral.npz", "held", "resampled")
    weights = any((folder / f"{kind}.safetensors").exists() for kind in ("best", "last"))

    done, asked = _epochs(history, config)
    recipe, out = str(folder / "config.toml"), str(folder)
    plugins = [word for path in (environment or {}).get("plugins", []) for word in ("--plugin", path)]
    resume = shlex.join(["flowvae", "train", recipe, "--out", out, "--resume", *plugins])
    anew = shlex.join(["flowvae", "train", recipe, "--out", f"{out}-again", *plugins])
    evaluate = shlex.join(["flowvae", "evaluate", out, *plugins])
    parts = (
        (
            asked is None or done >= asked or history.ended_early,
            f"epochs {done + 1} to {asked} of the training",
            resume,
        ),
        (not history.damaged, _unreadable(history.damaged), resume if history.cut_short else anew),
        (len(history.train) > 0, "training curves", resume),
        (len(history.validation) > 0, "validation curves", resume),
        (weights, "trained weights", resume),
        (environment is not None, "provenance (environment.json)", anew),
        (evaluation is not None, "evaluation: held-out bound, log p(x), KL per dimension", evaluate),
        (samples is not None, "samples", evaluate),
        (pairs is not None or _without_latents(evaluation), "reconstructions", evaluate),
    )
    return Run(
        name=name,
        group=group,
        config=config,
        config_text=text,
        environment=environment or {},
        history=history,
        evaluation=evaluation,
        samples=samples[0] if samples else None,
        pairs=(pairs[0], pairs[1]) if pairs else None,
        missing=tuple(Missing(what, command) for there, what, command in parts if not there),
        structure=_json(folder / "structure.json"),
        ancestral=(ancestral[0], ancestral[1]) if ancestral else None,
        rungs=_rungs(folder / "rungs.npz"),
    )


def _without_latents(evaluation: dict[str, Any] | None) -> bool:
    """Whether there is nothing to reconstruct from: no latent group has a rate."""
    return (evaluation or {}).get("kl") == []


def _unreadable(lines: Sequence[int]) -> str:
    shown = ", ".join(map(str, lines[:5])) + (", …" if len(lines) > 5 else "")
    return f"line{'s' if len(lines) > 1 else ''} {shown} of journal.jsonl, which cannot be read"


def _rungs(path: Path) -> dict[str, np.ndarray] | None:
    """The pictures of a ladder by caption."""
    found = _arrays(path, "tops", "partial", "temperatures", "tempered")
    if found is None:
        return None
    tops, partial, temperatures, tempered = found
    words = {0: "no rung inferred", int(tops[-1]): "all rungs inferred"}
    captions = [words.get(int(top), f"top {top} of {tops[-1]} rungs inferred") for top in tops]
    captions += [f"samples at temperature {temperature:g}" for temperature in temperatures]
    return dict(zip(captions, [*partial, *tempered], strict=True))


def _epochs(history: History, config: dict[str, Any]) -> tuple[int, int | None]:
    validation = history.validation
    return int(validation.epoch[-1]) if len(validation) else 0, config.get("training", {}).get("epochs")


def _config_text(folder: Path) -> str:
    if not folder.is_dir():
        raise InputError(f"expected a run folder; got {str(folder)!r}, which does not exist: {REMEDY}")
    try:
        return (folder / "config.toml").read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"expected a run folder; got {str(folder)!r}, which holds no config.toml: {REMEDY}") from None


def _names(folders: Sequence[Path]) -> list[tuple[str, str]]:
    """A unique name and a group for each: ``row/seed-0`` is of group ``row``, any other folder of its own."""
    parts = [folder.absolute().parts for folder in folders]
    seeded = [re.fullmatch(r"seed-\d+", tail[-1]) is not None for tail in parts]
    names: list[str] = []
    for depth in range(1, max(map(len, parts), default=0) + 1):
        names = ["/".join(tail[-depth - own :]) for tail, own in zip(parts, seeded, strict=True)]
        if len(set(names)) == len(names):
            break
    return [(n, n.rpartition("/")[0] if own else n) for n, own in zip(names, seeded, strict=True)]


def _json(path: Path) -> dict[str, Any] | None:
    """The object in ``path``; None where it is absent or unreadable, as after a kill."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, UnicodeDecodeError, json.JSONDecodeError):
        return None
    return value if isinstance(value, dict) else None


def _arrays(path: Path, *names: str) -> list[np.ndarray] | None:
    """The named arrays, never unpickled; None where the file is absent, torn, or lacks one of them."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return [archive[name] for name in names]
    except (*UNREADABLE, KeyError):
        return None
