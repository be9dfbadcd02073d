"""A recipe: everything that says what to train and how, as one TOML file, checked and complete before anything runs."""

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict

from flowvae import registry
from flowvae.data import resolve_data
from flowvae.engine.folder import FREE, without_none
from flowvae.engine.options import TRAINED, Phase, Training, overlaid, place_of
from flowvae.errors import InputError, nearest
from flowvae.evaluation.memory import parse_size
from flowvae.model import PARTS, resolve_parts
from flowvae.overrides import with_overrides
from flowvae.registry import Count, Seed, validated

Table = dict[str, Any]

INNER = {
    "decoder": "likelihood.decoder",
    "posterior": "latents.posterior",
    "prior": "latents.prior",
    "flow": "latents.posterior.flow",
}
"""Tables that lie in another: where each is, for who looks for it at the top."""

PATHS = ("path", "dir")
"""Entries of ``data`` that are paths."""

PLACES = ("dir",)
"""Entries of ``data`` that say where the files of a named set lie; a ``path`` is the data themselves."""

WAYS = ("memory", "compile")
"""Entries of ``evaluation`` that say how its numbers are computed, not which."""


def _size(memory: str) -> str:
    """The size of memory as it was written, once it can be read."""
    parse_size(memory)
    return memory


class EvaluationOptions(BaseModel):
    """How a run is evaluated unless the command says otherwise."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    samples: Count = 500
    """Importance samples K a datum."""
    split: Literal["train", "validation", "test"] = "test"
    seed: Seed = 0
    """Of the importance samples, and of the bits where binarisation is dynamic."""
    memory: Annotated[str, AfterValidator(_size)] = "256MiB"
    """Bound on what is allocated on the way."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Whether chunks run compiled; ``auto`` compiles where it pays."""

    def with_options(self, **changes: Any) -> "EvaluationOptions":
        """The same with the ``changes`` that are not None; `InputError` names the one that is invalid."""
        given = {name: value for name, value in changes.items() if value is not None}
        return validated(EvaluationOptions, {**self.model_dump(), **given}, "evaluation")


class Config(BaseModel):
    """A resolved recipe: every table checked against its component's signature, every default filled in.

    >>> config = Config.resolve({"data": "digits", "latents": {"dim": 8}, "training": {"epochs": 3}})
    >>> config.latents["dim"], config.latents["posterior"]["family"]["name"], config.optimiser["lr"]
    (8, 'diagonal', 0.001)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: Seed
    data: Table
    encoder: Table
    latents: Table
    likelihood: Table
    objective: Table
    optimiser: Table
    schedule: Table
    training: Table
    evaluation: EvaluationOptions
    phases: list[Table]

    @classmethod
    def load(cls, source: str | Path, overrides: Iterable[str] = ()) -> "Config":
        """The recipe in a TOML file, or the packaged one of that name, with ``"a.b=c"`` laid over it.

        Raises `InputError` for a file that does not exist or is no TOML, an unknown recipe, table, component or option
        (the nearest name is told), and values of the wrong type or out of range (their dotted path is told).
        """
        return cls.resolve(with_overrides(read_recipe(source), overrides))

    @classmethod
    def resolve(cls, tables: Mapping[str, Any]) -> "Config":
        """Check ``tables`` and fill in what they leave out; `InputError` as for `load`."""
        for key in tables:
            if key not in cls.model_fields:
                place = f": use {INNER[key]}" if key in INNER else place_of(key) or nearest(key, cls.model_fields)
                raise InputError(f"{key}: a recipe has no such table{place}")
        if "data" not in tables:
            raise InputError(
                "expected data to train on; got a recipe that names none: use --data digits, --data PATH, "
                "or a table [data]"
            )
        components = resolve_parts(tables)
        components |= {kind: registry.resolve(kind, tables.get(kind), default=name) for kind, name in TRAINED.items()}
        training, phases = _training(tables, components)
        return cls(
            seed=training.seed,
            data=_data(tables["data"], components["likelihood"]["name"]),
            **components,
            training=training.model_dump(exclude={"seed", "phases"}) | {"epochs": training.total_epochs},
            evaluation=validated(EvaluationOptions, _table(tables, "evaluation"), "evaluation"),
            phases=phases,
        )

    @property
    def model(self) -> Table:
        """The tables of `build_model`."""
        return {part: getattr(self, part) for part in PARTS}

    @property
    def options(self) -> Table:
        """The options of `fit`."""
        components = {kind: getattr(self, kind) for kind in TRAINED}
        return {**components, **self.training, "phases": self.phases, "seed": self.seed}

    def tables(self) -> Table:
        """The recipe as plain tables, in the order of the file; what is None is left out."""
        tables: Table = without_none(self.model_dump())
        if not tables["phases"]:
            del tables["phases"]
        return tables

    def digest(self) -> str:
        """SHA-256 of all that has an influence on what training gives."""
        tables = self.tables()
        del tables["evaluation"]
        for table, free in (("training", FREE), ("data", PLACES)):
            tables[table] = {key: value for key, value in tables[table].items() if key not in free}
        return sha256(tables)


def sha256(tables: Table) -> str:
    """SHA-256 of tables, whatever the order of their entries."""
    return hashlib.sha256(json.dumps(tables, sort_keys=True).encode()).hexdigest()


def recipes() -> list[str]:
    """The names of the packaged recipes."""
    return packaged("recipes")


def packaged(folder: str) -> list[str]:
    """The names of the TOML files in ``folder`` of the package."""
    found = (Path(file.name) for file in files("flowvae").joinpath(folder).iterdir())
    return sorted(path.stem for path in found if path.suffix == ".toml")


def read_recipe(source: str | Path) -> Table:
    """The tables of a recipe as they are written: a TOML file, or a packaged one by name."""
    return read_toml(source, "recipes", "recipe")


def read_toml(source: str | Path, folder: str, what: str) -> Table:
    """The TOML file ``source``, or the one of that name in ``folder`` of the package."""
    path = Path(source).expanduser()
    if path.is_file():
        text = path.read_bytes()
    elif path.suffix == ".toml" or len(path.parts) != 1:
        raise InputError(f"expected a {what} as a TOML file; got {str(source)!r}, which is no file: check the path")
    elif path.name not in packaged(folder):
        raise InputError(
            f"expected a {what} by name or a TOML file; got {path.name!r}"
            f"{nearest(path.name, packaged(folder), f'flowvae list {what}')}"
        )
    else:
        text = files("flowvae").joinpath(folder, f"{path.name}.toml").read_bytes()
    try:
        return tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"expected TOML in {str(source)!r}; got {error}: correct the file") from None


def _named(key: str, value: Any) -> Any:
    """A component by its bare name as a table, so that it can be laid over another."""
    return {"name": value} if key in TRAINED and isinstance(value, str) else value


def _table(tables: Mapping[str, Any], key: str) -> Table:
    table = tables.get(key, {})
    if not isinstance(table, dict):
        raise InputError(f"{key}: expected a table; got {table!r}: write [{key}]")
    return table


def _data(spec: Any, likelihood: str) -> Table:
    """The resolved data table, its paths absolute: a run is evaluated from any folder."""
    if not isinstance(spec, str | dict):
        raise InputError(f"data: expected a name or a table; got {spec!r}: set data.name")
    accepts = getattr(registry.component("likelihood", likelihood), "accepts", ())
    table = resolve_data(spec, sequences="sequence" in accepts)
    return table | {key: str(Path(table[key]).expanduser().resolve()) for key in PATHS if table.get(key)}


def _training(tables: Mapping[str, Any], components: Mapping[str, Table]) -> tuple[Training, list[Table]]:
    """The options of training, with ``seed`` and ``phases`` from where a recipe has them."""
    settings = _table(tables, "training")
    known = [name for name in Training.model_fields if name not in ("seed", "phases")]
    for key in settings:
        if key not in known:
            top = f": set {key} at the top of the recipe" if key in Training.model_fields else ""
            place = top or place_of(key) or nearest(key, known)
            raise InputError(f"training.{key}: no such option{place}")
    phases = tables.get("phases", [])
    if not isinstance(phases, list) or not all(isinstance(phase, dict) for phase in phases):
        raise InputError(f"phases: expected a list of tables; got {phases!r}: write [[phases]]")
    phases = [{key: _named(key, value) for key, value in phase.items()} for phase in phases]
    for number, phase in enumerate(phases):
        checked = validated(Phase, phase, f"phases.{number}")
        for kind in TRAINED:
            changed = overlaid(components[kind], getattr(checked, kind))
            registry.resolve(kind, changed, path=f"phases.{number}.{kind}")
    seed = validated(Training, {"seed": tables.get("seed", 0)}, "recipe").seed
    training = validated(Training, {**settings, "phases": phases, "seed": seed}, "training")
    return training, [without_none(phase.model_dump()) for phase in training.phases]
