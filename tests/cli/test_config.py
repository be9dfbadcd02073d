"""Recipes: what they resolve to, what is laid over them, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import tomli_w

from flowvae import InputError, registry
from flowvae.cli.shared import load_recipe
from flowvae.config import Config, recipes
from flowvae.overrides import with_changes

DIGITS = {"data": "digits"}


@pytest.mark.parametrize("name", recipes())
def test_a_resolved_recipe_is_a_recipe(name: str, tmp_path: Path) -> None:
    config = Config.load(name)
    (tmp_path / "again.toml").write_text(tomli_w.dumps(config.tables()))
    again = Config.load(tmp_path / "again.toml")
    assert again == config
    assert again.digest() == config.digest()


def test_resolving_fills_in_everything() -> None:
    tables = Config.resolve({**DIGITS, "latents": {"posterior": {"flow": "iaf"}}}).tables()
    defaults = {option.name: option.default for option in registry.options("flow", "iaf")}
    assert defaults["steps"] == 4
    assert tables["latents"]["posterior"]["flow"] == {"name": "iaf", **defaults}
    assert tables["data"] == {"name": "digits", "binarise": "dynamic", "dequantise": False, "seed": 0}
    assert tables["optimiser"]["lr"] == 1e-3
    assert tables["training"]["batch_size"] == 128
    assert tables["seed"] == 0


@pytest.mark.parametrize(
    ("override", "where", "value"),
    [
        ("latents.dim=5", ("latents", "dim"), 5),
        ("optimiser.lr=2e-4", ("optimiser", "lr"), 2e-4),
        ("optimiser=adamax", ("optimiser", "name"), "adamax"),
        ("optimiser.name=adamax", ("optimiser", "lr"), 2e-3),
        ("latents.posterior.flow.steps=2", ("latents", "posterior", "flow", "steps"), 2),
        ("latents.posterior.flow=planar", ("latents", "posterior", "flow", "name"), "planar"),
        ("latents.posterior.flow={name='planar', steps=3}", ("latents", "posterior", "flow", "steps"), 3),
        ("latents.posterior.flow=", ("latents", "posterior", "flow"), None),
        ("latents.posterior=gaussian", ("latents", "posterior", "flow"), None),
        ("data.binarise=none", ("data", "binarise"), "none"),
        ("training.clip = 1", ("training", "clip"), 1.0),
        ("training.ema=", ("training", "ema"), None),
        ("seed=7", ("seed",), 7),
        ("optimiser.betas=[0.8, 0.9]", ("optimiser", "betas"), (0.8, 0.9)),
    ],
)
def test_overrides(override: str, where: tuple[str, ...], value: object) -> None:
    found = Config.load("digits-iaf", [override]).model_dump()
    for key in where:
        found = found[key]
    assert found == value


def test_later_overrides_win_and_a_changed_name_starts_from_its_own_defaults() -> None:
    config = Config.load("digits-iaf", ["latents.posterior.flow.name=planar", "latents.posterior.flow.steps=3"])
    assert config.latents["posterior"]["flow"] == {"name": "planar", "steps": 3, "parameters": "auto"}


@pytest.mark.parametrize("named", ["flow.name=planar", "flow=planar", "flow={name='planar', steps=5}"])
@pytest.mark.parametrize("after", [False, True])
def test_entries_are_set_after_what_holds_them_whatever_their_order(named: str, after: bool) -> None:
    overrides = [f"latents.posterior.{change}" for change in (named, "flow.steps=3")]
    config = Config.load("digits-iaf", overrides[::-1] if after else overrides)
    assert config.latents["posterior"]["flow"] == {"name": "planar", "steps": 3, "parameters": "auto"}
    assert with_changes({"a": {"b": {"name": "old", "d": 2}}}, {"a.b.c": 1, "a.b.name": "new"}) == {
        "a": {"b": {"name": "new", "c": 1}}
    }


@pytest.mark.parametrize(
    ("overrides", "flow"),
    [
        (["flow.steps=3", "flow="], None),
        (["flow=", "flow.steps=3", "flow.name=planar"], 3),
        (["flow.steps=3", "flow={steps=4}"], 4),
        (["flow={steps=4}", "flow.steps=3"], 3),
    ],
)
def test_later_changes_count_where_no_name_is_set(overrides: list[str], flow: int | None) -> None:
    found = Config.load("digits-iaf", [f"latents.posterior.{change}" for change in overrides])
    assert (found.latents["posterior"]["flow"] or {}).get("steps") == flow


def test_set_has_the_last_word(tmp_path: Path) -> None:
    np.save(tmp_path / "my.npy", np.zeros((9, 4)))
    own = str(tmp_path / "my.npy")
    for change in ("data={binarise='none'}", "data.binarise=none"):
        found = load_recipe("digits", [change], own, None)
        assert (found.data["path"], found.data["binarise"]) == (own, "none")
    there = load_recipe("mnist-vae", [f"data={{dir='{tmp_path}'}}"], None, tmp_path.parent)
    assert there.data["dir"] == str(tmp_path)


def test_the_last_of_the_same_entry_counts() -> None:
    assert Config.load("digits-iaf", ["latents.dim=3", "latents.dim=5"]).latents["dim"] == 5
    flows = [f"latents.posterior.flow.{change}" for change in ("name=radial", "steps=3", "name=planar")]
    assert Config.load("digits-iaf", flows).latents["posterior"]["flow"]["name"] == "planar"
    assert Config.load("digits-iaf", [flows[2], flows[1], flows[0]]).latents["posterior"]["flow"]["name"] == "radial"
    assert Config.load("digits-iaf", ["latents.dim=3", "latents.dim="]).latents["dim"] == 32


def test_changes_leave_the_tables_they_are_laid_over() -> None:
    base = {"latents": {"posterior": {"flow": {"name": "iaf", "steps": 2}}}}
    changed = with_changes(base, {"latents.posterior.flow": {"name": "planar"}, "latents": {"dim": 3}})
    assert changed == {"latents": {"posterior": {"flow": {"name": "planar"}}, "dim": 3}}
    assert base == {"latents": {"posterior": {"flow": {"name": "iaf", "steps": 2}}}}


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("trainin.epochs=2", "trainin: a recipe has no such table; did you mean 'training'?"),
        ("decoder.width=8", "decoder: a recipe has no such table: use likelihood.decoder"),
        ("training.epoch=2", "training.epoch: no such option; did you mean 'epochs'?"),
        ("training.epochs=0", "training.epochs: expected greater than or equal to 1; got 0"),
        ("training.lr=0.1", "training.lr: no such option: use optimiser.lr"),
        ("training.warmup=3", "training.warmup: no such option: use objective.warmup or schedule.warmup"),
        ("lr=0.1", "lr: a recipe has no such table: use optimiser.lr"),
        ("training.seed=1", "training.seed: no such option: set seed at the top of the recipe"),
        ("seed=-1", "seed: expected greater than or equal to 0; got -1"),
        ("optimiser.lr=fast", "optimiser.lr: expected a valid number"),
        ("optimiser.name=adm", "optimiser: expected an optimiser; got 'adm'; did you mean 'adam'?"),
        (
            "latents.posterior.flow.stps=2",
            "latents.posterior.flow.stps: 'iaf' has no such option; did you mean 'steps'?",
        ),
        ("latents.postrior.family=full", "latents.postrior: 'flat' has no such option; did you mean 'posterior'?"),
        ("latents.dim.x=2", "latents.dim: expected a table; got 16"),
        ("evaluation.sampels=2", "evaluation.sampels: no such option; did you mean 'samples'?"),
        (
            "data.binarise=maybe",
            "data.binarise: expected 'dynamic', 'static-seeded', 'threshold' or 'none'; got 'maybe'",
        ),
        ("data.name=digtis", "got 'digtis'; did you mean 'digits'?"),
        ("encoder=3", "encoder: expected a name or a table; got 3"),
        ("phases=[{epochs=3, freze='encoder'}]", "phases.0.freze: no such option; did you mean 'freeze'?"),
        ("phases=[{epochs=3, optimiser={lr=-1}}]", "phases.0.optimiser.lr: expected greater than 0; got -1"),
        ("phases=[{epochs=3}]", "training: expected epochs to be the sum over the phases, 3; got "),
        ("=3", "expected a change as a.b=c; got '=3'"),
        ("training", "expected a change as a.b=c; got 'training'"),
    ],
)
def test_mistakes_are_named_with_their_place_and_the_nearest_name(override: str, said: str) -> None:
    with pytest.raises(InputError) as error:
        Config.load("digits-iaf", [override])
    assert said in str(error.value)


def test_a_recipe_without_data_is_refused() -> None:
    with pytest.raises(InputError, match="a recipe that names none: use --data"):
        Config.resolve({"latents": {"dim": 2}})


def test_phases_sum_to_the_epochs() -> None:
    config = Config.resolve(
        {**DIGITS, "phases": [{"epochs": 3, "freeze": "encoder"}, {"epochs": 4, "optimiser": "adamax"}]}
    )
    assert config.training["epochs"] == 7
    assert config.phases[0]["freeze"] == ["encoder"]
    assert config.phases[1]["optimiser"] == {"name": "adamax"}
    assert Config.resolve(config.tables()) == config


def test_the_digest_covers_what_has_an_influence_and_nothing_else(tmp_path: Path) -> None:
    digest = Config.load("digits").digest()
    same = ["training.log_every=3", "training.checkpoint_every_seconds=5", "evaluation.samples=2"]
    other = ["seed=1", "latents.dim=3", "training.epochs=3", "data.binarise=none"]
    assert {Config.load("digits", [change]).digest() for change in same} == {digest}
    assert len({digest, *(Config.load("digits", [change]).digest() for change in other)}) == 1 + len(other)
    assert Config.load("mnist-vae", [f"data.dir={tmp_path}"]).digest() == Config.load("mnist-vae").digest()


def test_a_path_of_data_holds_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.npy").touch()
    monkeypatch.chdir(tmp_path)
    assert Config.load("digits", ["data.name=x.npy"]).data["path"] == str((tmp_path / "x.npy").resolve())


def test_files_that_are_no_recipes(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("data = ")
    with pytest.raises(InputError, match="expected TOML in"):
        Config.load(tmp_path / "bad.toml")
    with pytest.raises(InputError, match="did you mean 'mnist-iaf'"):
        Config.load("mnist-iav")
    with pytest.raises(InputError, match="which is no file"):
        Config.load(tmp_path / "none.toml")
