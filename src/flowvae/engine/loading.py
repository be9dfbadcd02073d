"""A trained model from its run folder."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flowvae.engine.folder import Folder
from flowvae.engine.journal import read_journal
from flowvae.engine.weights import load_weights, restore
from flowvae.errors import InputError
from flowvae.model import PARTS, VAE, build_model
from flowvae.schema import Schema


def load(run: str | Path, which: str = "best") -> VAE:
    """The trained model of a run folder, built from its config.toml, in evaluation mode on the CPU.

    ``which`` is ``best`` (by validation bound), ``last`` or ``initial``. Runs no code from the folder. Raises
    `InputError` for a folder that holds no run, and for a model that was put together by hand: build it again the same
    way and give it ``load_weights(run / "best.safetensors")``.
    """
    folder = Folder(Path(run))
    if not folder.config.is_file():
        raise InputError(f"expected the folder of a run; got {str(run)!r}, which has no config.toml: check the path")
    if which == "best" and folder.checkpoint.is_file() and not folder.weights(which).is_file():
        raise _without_best(folder)
    weights = load_weights(folder.weights(which))
    tables = _parsed(folder.config, tomllib.loads)
    spec = {part: tables[part] for part in PARTS if part in tables}
    if not spec:
        raise InputError(
            f"expected a run of a model made by build_model; got {str(run)!r}, whose model was put together by hand: "
            f"build it again and load {folder.weights(which).name} into it"
        )
    model = build_model(spec, _parsed(folder.environment, _shape))
    restore(model, weights, folder.weights(which))
    return model.eval()


def _without_best(folder: Folder) -> InputError:
    """What is wrong with a run that has no best weights, and what to do."""
    journal = read_journal(folder.journal) if folder.journal.is_file() else []
    got = f"expected a run with a validation, which tells its best weights; got {str(folder.path)!r}"
    if any(record["kind"] == "validation" for record in journal):
        return InputError(f"{got}, of whose validations none is finite: train again, with a lower rate")
    return InputError(f"{got}, which was stopped before its first one: go on with `{folder.resumption}`")


def _shape(text: str) -> tuple[int, ...]:
    """The shape of a datum in the text of an environment.json."""
    data = json.loads(text)["data"]
    return Schema.of_table(data["schema"]) if "schema" in data else tuple(data["event_shape"])


def _parsed(path: Path, parse: Callable[[str], Any]) -> Any:
    """What ``parse`` finds in a file of a run; `InputError` where it is gone or damaged."""
    remedy = f"restore the file from a copy of the run {str(path.parent)!r}, or train it again"
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"expected {path.name} in the folder of a run; got no such file: {remedy}") from None
    except KeyError as error:
        raise InputError(f"expected {path.name} with an entry {error}; got none: {remedy}") from None
    except (ValueError, TypeError) as error:  # no TOML, no JSON, no text, or another entry than the one expected
        raise InputError(f"expected {path.name} as a run writes it; got {error}: {remedy}") from None
