"""A run's folder: what lies in it under which name, and how to open it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tomli_w

from flowvae import registry
from flowvae.data import Data
from flowvae.engine.environment import environment
from flowvae.engine.options import TRAINED, training_options
from flowvae.errors import InputError
from flowvae.files import write_text
from flowvae.model import PARTS, VAE

SHARED = ("seed", *PARTS, *TRAINED, "phases")
# Options of training that may differ between a run and its continuation: they have no influence on the numbers.
FREE = ("log_every", "checkpoint_every_seconds", "on_nonfinite")
# How bytes become x. A checkpoint of an earlier version may not tell, and is then taken to be as the continuation is.
BECOMING = ("scale", "cells", "flip")

Resume = bool | Literal["auto"]
"""Begin a run, go on with the one in the folder, or "auto": whichever the folder allows."""


@dataclass(frozen=True)
class Folder:
    """The files of a run."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved recipe, TOML."""
        return self.path / "config.toml"

    @property
    def environment(self) -> Path:
        """Versions, machine, command, data."""
        return self.path / "environment.json"

    @property
    def journal(self) -> Path:
        """One JSON object a line."""
        return self.path / "journal.jsonl"

    @property
    def checkpoint(self) -> Path:
        """The whole state, to go on from."""
        return self.path / "checkpoint.pt"

    def weights(self, which: str) -> Path:
        """``initial``, ``best`` or ``last`` weights."""
        return self.path / f"{which}.safetensors"

    @property
    def resumption(self) -> str:
        """The command that goes on with the run."""
        return registry.command_line("train", self.config, "--out", self.path, "--resume")

    def goes_on(self, resume: Resume) -> bool:
        """Whether there is a checkpoint to go on from; a run that was stopped before its first one begins again.

        Raises `InputError` when a new run would mix with what the folder holds, when there is no run to resume, when
        one was trained but lacks its checkpoint, and when the path is a file.
        """
        name, holds_run = repr(str(self.path)), self.config.is_file()
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"expected a folder for the run; got the file {name}: choose another path")
        if not resume and self.path.exists() and any(self.path.iterdir()):
            held, remedy = ("a run", "resume it (resume=True, --resume), or ") if holds_run else ("files", "")
            raise InputError(
                f"expected an empty folder for the run; got {name}, which holds {held}: {remedy}choose another"
            )
        if resume not in (False, "auto") and not holds_run:
            lack = "holds no config.toml" if self.path.exists() else "does not exist"
            raise InputError(
                f"expected the folder of a run to resume; got {name}, which {lack}: "
                "check the path, or leave resume (--resume) out to begin a run"
            )
        if resume and self.weights("best").is_file() and not self.checkpoint.is_file():
            raise InputError(
                f"expected a checkpoint to go on from; got {name}, whose checkpoint.pt is gone: "
                "train into another folder"
            )
        return bool(resume) and self.checkpoint.is_file()

    def make(self, config: dict[str, Any], data: Data) -> None:
        """Make the folder and write what is known of the run before it begins."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_text(self.config, tomli_w.dumps(without_none(config)))
        write_text(self.environment, json.dumps(environment(data, config["seed"]), indent=1) + "\n")


def fingerprint(config: dict[str, Any], model: VAE, data: Data) -> dict[str, Any]:
    """What a run and its continuation must share, as flat entries to compare: ``{"training.epochs": 50, ...}``."""
    shared = {table: config[table] for table in SHARED if table in config}
    shared["training"] = {name: value for name, value in config["training"].items() if name not in FREE}
    shared["data"] = {"digest": data.digest, "rows": len(data.train), "binarise": data.train.binarise}
    shared["data"] |= {name: getattr(data.train, name) for name in BECOMING}
    shared["weights"] = {name: list(p.shape) for name, p in model.named_parameters()}
    return _flat(shared)


def completed(saved: dict[str, Any]) -> dict[str, Any]:
    """A fingerprint of an earlier version: the options that the library has gained since then are at their defaults."""
    tables: dict[str, Any] = {}
    for name, value in saved.items():
        *path, last = name.split(".")
        table = tables
        for key in path:
            table = table.setdefault(key, {})
        table[last] = value
    for kind in (*PARTS, *TRAINED):
        if kind in tables:
            tables[kind] = registry.resolve(kind, tables[kind])
    gained = training_options().model_dump(exclude={"seed", "phases", *FREE})
    return _flat(tables | {"training": gained | tables["training"]})


def require_same(saved: dict[str, Any], now: dict[str, Any], path: Path) -> None:
    """`InputError` naming the first entry in which a continued run differs from its checkpoint."""
    saved = {name: now[name] for name in (f"data.{key}" for key in BECOMING)} | completed(saved)
    for name in sorted(saved.keys() | now.keys()):
        if saved.get(name) != now.get(name):
            raise InputError(
                f"expected {name} = {saved.get(name)!r} as in the run {str(path)!r}; got {now.get(name)!r}: "
                "resume with the run's own config.toml, or train into another folder"
            )


def without_none(value: Any) -> Any:
    """The same tables without entries that are None, which TOML cannot say: absent is None."""
    if isinstance(value, dict):
        return {key: without_none(entry) for key, entry in value.items() if entry is not None}
    if isinstance(value, list | tuple):
        return [without_none(entry) for entry in value]
    return str(value) if isinstance(value, Path) else value


def _flat(tables: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    _flatten("", json.loads(json.dumps(without_none(tables))), found)
    return found


def _flatten(prefix: str, value: Any, into: dict[str, Any]) -> None:
    if isinstance(value, dict):
        for key, entry in value.items():
            _flatten(f"{prefix}.{key}" if prefix else key, entry, into)
    else:
        into[prefix] = value
