"""Studies: rows of a table, each a recipe, trained with several seeds and evaluated once on the test split."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

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
    with_changes,
)
from flowvae.errors import InputError, nearest
from flowvae.registry import NonNegative, Spec, validated

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""Names become folders."""


class Row(BaseModel):
    """A row of the table: the study's base, or a recipe of its own, with changes laid over it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    label: str = ""
    recipe: str | None = None
    overrides: Table = {}
    """Tables, or dotted names: ``{"latents.posterior.flow" = "iaf"}``."""
    published: Table = {}
    """Figures as their source gives them: metrics by name, ``source``, ``binarise``, ``samples``, ``note``."""


class Study(BaseModel):
    """A table to be made: its rows, its seeds, and how each run is evaluated."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    source: str
    title: str
    description: str = ""
    seeds: Annotated[list[NonNegative], Field(min_length=1)]
    metrics: list[str] = ["elbo", "log_likelihood"]
    measures: list[Spec] = []
    """What is measured of every run beside its bound: components of the kind ``measure``."""
    base: str | Table
    """Tables of a recipe, or the name of one."""
    evaluation: EvaluationOptions = EvaluationOptions()
    rows: Annotated[list[Row], Field(min_length=1)]

    @classmethod
    def load(cls, source: str | Path) -> "Study":
        """The study in a TOML file, or the packaged one of that name; every row's recipe is checked.

        Raises `InputError` for what is unknown, misspelt or invalid in it.
        """
        tables = read_toml(source, "studies", "study")
        for key in tables:
            if key not in cls.model_fields or key in ("name", "source"):
                raise InputError(
                    f"{key}: a study has no such entry{nearest(key, set(cls.model_fields) - {'name', 'source'})}"
                )
        for number, row in enumerate(tables.get("rows", [])):
            validated(Row, row, f"rows.{number}")
        validated(EvaluationOptions, tables.get("evaluation", {}), "evaluation")
        study = validated(cls, {"name": Path(source).stem, "source": str(source), **tables}, Path(source).name)
        names = [row.name for row in study.rows]
        if twice := [name for name in names if names.count(name) > 1]:
            raise InputError(f"expected rows of different names; got {twice[0]!r} twice: rename one")
        for number, spec in enumerate(study.measures):
            registry.resolve("measure", spec, path=f"measures.{number}")
        for row in study.rows:
            study.config(row, study.seeds[0])
        return study

    def tables(self, row: Row, seed: int) -> Table:
        """The recipe of one run, as it is written."""
        base = row.recipe or self.base
        tables = read_recipe(self._near(base)) if isinstance(base, str) else base
        tables = with_changes(tables, row.overrides)
        return {**tables, "seed": seed, "evaluation": self.evaluation.model_dump()}

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

    def _near(self, recipe: str) -> str | Path:
        """A recipe's name, or its file beside the study's."""
        return Path(self.source).parent / recipe if recipe.endswith(".toml") else recipe


def studies() -> list[str]:
    """The names of the packaged studies."""
    return packaged("studies")
