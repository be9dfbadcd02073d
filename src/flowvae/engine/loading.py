"""A trained model from its run folder."""

import json
import tomllib
from pathlib import Path

from flowvae.engine.folder import Folder
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
    weights = load_weights(folder.weights(which))
    tables = tomllib.loads(folder.config.read_text())
    spec = {part: tables[part] for part in PARTS if part in tables}
    if not spec:
        raise InputError(
            f"expected a run of a model made by build_model; {str(run)!r} holds one put together by hand: "
            f"build it again and load {folder.weights(which).name} into it"
        )
    data = json.loads(folder.environment.read_text())["data"]
    shape = Schema.of_table(data["schema"]) if "schema" in data else tuple(data["event_shape"])
    model = build_model(spec, shape)
    restore(model, weights, folder.weights(which))
    return model.eval()
