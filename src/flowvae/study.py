"""Studies: rows of a table, each a recipe, trained with several seeds and evaluated once on the test split."""

import re
from collections.abc import Sequence
from itertools import chain, product
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from flowvae import registry
from flowvae.config import (
    PLACES,
    WAYS,
    Config,
    EvaluationOptions,
    Table,
    packaged,
    read_recipe,
    read_toml,
    sha256,
)
from flowvae.errors import InputError, nearest
from flowvae.measures import figures_of, is_figure
from flowvae.overrides import with_changes
from flowvae.registry import Seed, Spec, validated


def _of_a_folder(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise InputError(
            "expected a name of letters, digits, '.', '_' and '-', which begins with a letter or a digit, as it is "
            f"that of a folder; got {name!r}: rename it"
        )
    return name


Name = Annotated[str, AfterValidator(_of_a_folder)]
"""Names become folders."""

EVALUATED = (
    "elbo", "elbo_se", "log_likelihood", "log_likelihood_se", "gap", "rate", "distortion", "ess", "active_units",
    "bits_per_dim", "epochs", "best_epoch", "validation_elbo", "seconds", "parameters",
)  # fmt: skip
"""The figures of every run; measures add their own."""

IN_WORDS = ("source", "binarise", "note")
BESIDE = ("samples", *IN_WORDS)
"""What published figures tell beside metrics."""

SHARED = {
    "seed": "every row has the seeds of the study",
    "evaluation": "rows are evaluated alike, so set it in the table [evaluation] of the study",
}
"""Entries of a recipe that a study sets, and why its rows cannot."""


def _of_numbers(published: Table) -> Table:
    for key, value in published.items():
        wanted, kind = (str, "words") if key in IN_WORDS else (int | float, "a number")
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise InputError(f"expected {kind} for {key!r}; got {value!r}: correct it, or leave it out")
    return published


def _of_a_row(overrides: Table) -> Table:
    for key in overrides:
        if (table := key.split(".")[0]) in SHARED:
            raise InputError(f"expected changes that rows may differ in; got {key!r}: {SHARED[table]}")
    return overrides


def _of_different(seeds: list[int]) -> list[int]:
    if twice := [seed for seed in seeds if seeds.count(seed) > 1]:
        raise InputError(f"expected different seeds; got {twice[0]} twice: leave one out")
    return seeds


Changes = Annotated[Table, AfterValidator(_of_a_row)]
"""Tables of a recipe, or their entries by dotted name, that one row has and another has not."""


class Row(BaseModel):
    """A row of the table: the study's base, or a recipe of its own, with changes laid over it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    label: str = ""
    recipe: str | None = None
    """Instead of the base; its ``[evaluation]`` is not looked at, for all rows are evaluated alike."""
    overrides: Changes = {}
    """Tables, or dotted names: ``{"latents.posterior.flow" = "iaf"}``."""
    published: Annotated[Table, AfterValidator(_of_numbers)] = {}
    """Figures as their source gives them: metrics by name, ``samples``; in words ``source``, ``binarise``, ``note``."""


class Choice(BaseModel):
    """A place on an axis of a study, with the changes that it makes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: str = ""
    overrides: Changes = {}


Axis = dict[Name, Choice]


def crossed(axes: Sequence[Axis]) -> list[Row]:
    """A row for every combination of choices, one of each axis: named "first-second", the changes in that order."""
    rows = []
    for choices in product(*(axis.items() for axis in axes)):
        overrides: Table = {}
        for _, choice in choices:
            overrides |= choice.overrides
        label = ", ".join(choice.label or name for name, choice in choices)
        name = "-".join(name for name, _ in choices)
        rows.append(validated(Row, {"name": name, "label": label, "overrides": overrides}, f"axes: row {name!r}"))
    return rows


class Study(BaseModel):
    """A table to be made: its rows, its seeds, and how each run is evaluated."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    source: str
    title: str
    description: str = ""
    seeds: Annotated[list[Seed], Field(min_length=1), AfterValidator(_of_different)]
    metrics: Annotated[list[str], Field(min_length=1)] = ["elbo", "log_likelihood"]
    measures: list[Spec] = []
    """What is measured of every run beside its bound: components of the kind ``measure``."""
    base: str | Table
    """Tables of a recipe, or the name of one."""
    evaluation: EvaluationOptions = EvaluationOptions()
    """Laid over that of the base."""
    axes: list[Axis] = []
    """Instead of rows: their product is the rows."""
    pairs: list[tuple[Name, Name]] = []
    """Rows that are compared besides, [one, other]: the table tells the differences one - other, paired by seed."""
    pictures: bool = True
    """Whether curves, samples and reconstructions are kept with the results."""
    rows: Annotated[list[Row], Field(min_length=1)]

    @property
    def places(self) -> list[list[tuple[str, str]]]:
        """The axes as (name, label) of their choices."""
        return [[(name, choice.label or name) for name, choice in axis.items()] for axis in self.axes]

    @classmethod
    def load(cls, source: str | Path) -> "Study":
        """The study in a TOML file, or the packaged one of that name; every row's recipe is checked.

        Raises `InputError` for what is unknown, misspelt or invalid in it.
        """
        study = cls.read(source)
        for number, spec in enumerate(study.measures):
            registry.resolve("measure", spec, path=f"measures.{number}")
        for row in study.rows:
            study.config(row, study.seeds[0])
        return study

    @classmethod
    def read(cls, source: str | Path) -> "Study":
        """The study as it is written; its recipes are not checked, so that components of plugins may be unknown."""
        tables = read_toml(source, "studies", "study")
        name = Path(source).stem
        if name in studies() and tables != read_toml(name, "studies", "study"):
            raise InputError(
                f"expected a study of a name of its own; got {str(source)!r}, which would share the results "
                f"and runs of the packaged study {name!r}: rename the file"
            )
        for key in tables:
            if key not in cls.model_fields or key in ("name", "source"):
                raise InputError(
                    f"{key}: a study has no such entry{nearest(key, set(cls.model_fields) - {'name', 'source'})}"
                )
        for number, row in enumerate(_listed(tables, "rows")):
            validated(Row, row, f"rows.{number}")
        if "axes" in tables:
            tables["rows"] = _product(tables)
        validated(EvaluationOptions, tables.get("evaluation", {}), "evaluation")
        study = validated(cls, {"name": name, "source": str(source), **tables}, Path(source).name)
        names = [row.name for row in study.rows]
        if twice := [name for name in names if names.count(name) > 1]:
            raise InputError(f"expected rows of different names; got {twice[0]!r} twice: rename one")
        for name in (name for pair in study.pairs for name in pair):
            study.row(name)
        study._require_metrics()
        return study

    def _require_metrics(self) -> None:
        """Raise `InputError` for a metric, shown or published, that no run will have, unless a measure may find it."""
        found = [figures_of(spec, f"measures.{number}") for number, spec in enumerate(self.measures)]
        known = (*EVALUATED, *chain.from_iterable(filter(None, found)))
        names = [name for name in known if not name.endswith("*")]
        named = [*self.metrics, *(key for row in self.rows for key in row.published if key not in BESIDE)]
        for name in named if None not in found else []:
            if not is_figure(name, known):
                raise InputError(
                    f"expected a metric; got {name!r}, which nothing measures: add the measure that does"
                    f"{nearest(name, names)}"
                )

    def tables(self, row: Row, seed: int) -> Table:
        """The recipe of one run, as it is written."""
        base = self._read(self.base)
        tables = with_changes(self._read(row.recipe) if row.recipe else base, row.overrides)
        evaluation = {**base.get("evaluation", {}), **self.evaluation.model_dump(exclude_unset=True)}
        options = validated(EvaluationOptions, evaluation, "evaluation")
        return {**tables, "seed": seed, "evaluation": options.model_dump()}

    def config(self, row: Row, seed: int) -> Config:
        """The resolved recipe of one run; `InputError` names the row in which something is wrong."""
        try:
            return Config.resolve(self.tables(row, seed))
        except InputError as error:
            raise InputError(f"study {self.name!r}, row {row.name!r}: {error}") from None

    def digest(self, row: Row, seed: int) -> str:
        """SHA-256 of a run's recipe as it is written: an option that the library gains does not change it."""
        tables = self.tables(row, seed)
        if self.measures:
            tables["measures"] = self.measures
        if isinstance(tables["data"], dict):
            tables["data"] = {key: value for key, value in tables["data"].items() if key not in PLACES}
        tables["evaluation"] = {key: value for key, value in tables["evaluation"].items() if key not in WAYS}
        return sha256(tables)

    def row(self, name: str) -> Row:
        """The row of that name; `InputError` tells the nearest one."""
        rows = {row.name: row for row in self.rows}
        if name not in rows:
            raise InputError(f"expected a row of the study {self.name!r}; got {name!r}{nearest(name, rows)}")
        return rows[name]

    def _read(self, recipe: str | Table) -> Table:
        """The tables of a recipe: its own, those of a packaged one, or those of a file beside the study's."""
        if not isinstance(recipe, str):
            return recipe
        return read_recipe(Path(self.source).parent / recipe if recipe.endswith(".toml") else recipe)


def _product(tables: Table) -> list[Row]:
    """The rows of a study that is given by axes."""
    if "rows" in tables:
        raise InputError("expected rows or axes of a study; got both: write the rows as an axis of their own")
    axes: list[Axis] = []
    for number, axis in enumerate(_listed(tables, "axes")):
        if not isinstance(axis, dict):
            raise InputError(f"axes.{number}: expected a table of choices; got {axis!r}: write [[axes]] above them")
        axes.append({name: validated(Choice, choice, f"axes.{number}.{name}") for name, choice in axis.items()})
    if not axes:
        raise InputError("expected an axis of a study; got axes = []: write [[axes]] above its choices")
    return crossed(axes)


def _listed(tables: Table, key: str) -> list[Any]:
    """The tables under [[key]]."""
    found = tables.get(key, [])
    if not isinstance(found, list):
        raise InputError(f"{key}: expected a list of tables; got {found!r}: write [[{key}]] above each")
    return found


def studies() -> list[str]:
    """The names of the packaged studies."""
    return packaged("studies")
