"""What a study is: its file, its rows' recipes, and the digests that tell whether a result is of today's recipe."""

import json
from pathlib import Path

import pytest

from flowvae import InputError
from flowvae.config import Config, read_toml
from flowvae.measures import Measured, figures_of, is_figure
from flowvae.registry import components
from flowvae.study import EVALUATED, Study, studies

RESULTS = Path(__file__).parents[2] / "results"
BUDGET = ("epochs", "batch_size", "patience", "ema", "validate_every")


@pytest.mark.parametrize("name", studies())
def test_packaged_studies_are_sound(name: str) -> None:
    study = Study.load(name)
    assert study.name == name
    first, *others = (study.config(row, seed=study.seeds[0]) for row in study.rows)
    assert others
    budgets = {config.data["name"]: config.training for config in (first, *others)}
    for (
        config
    ) in others:  # rows differ in their model, their data or how they are trained, and have one budget a data set
        assert (config.model, config.data, config.training) != (first.model, first.data, first.training)
        assert (config.optimiser, config.schedule) == (first.optimiser, first.schedule)
        assert [config.training[name] for name in BUDGET] == [budgets[config.data["name"]][name] for name in BUDGET]
    assert first.evaluation == study.evaluation
    for row in study.rows:
        assert not row.published or {"source", "binarise"} <= row.published.keys()


def test_published_bounds_of_kong_and_li_are_those_of_the_text() -> None:
    rows = Study.load("kong-li").rows
    assert [row.published["elbo"] for row in rows] == [-109.23, -111.96, -105.09, -107.67]
    assert all("training loss on grey pixels" in row.published["note"] for row in rows)
    assert ["swapped" in row.published["note"] for row in rows] == [False, False, True, True]


def test_a_row_is_its_base_with_its_changes_and_a_seed(tiny: Path) -> None:
    study = Study.load(tiny)
    config = study.config(study.row("full"), 3)
    assert (config.seed, config.evaluation.samples, config.latents["dim"]) == (3, 5, 2)
    assert config.latents["posterior"]["family"] == {"name": "full"}
    assert study.config(study.row("diagonal"), 3).latents["posterior"]["family"] == {"name": "diagonal"}


def test_a_base_and_a_row_may_be_recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "mine.toml").write_text('data = "digits"\nlatents = { dim = 5 }\n')
    changed = 'recipe = "mine.toml"\noverrides = { training = { epochs = 3 } }\n'
    rows = f'[[rows]]\nname = "a"\n[[rows]]\nname = "b"\n{changed}'
    (tmp_path / "deep" / "s.toml").write_text(f'title = "t"\nseeds = [0]\nbase = "digits"\n{rows}')
    monkeypatch.chdir(tmp_path)
    study = Study.load("deep/s.toml")
    assert study.config(study.row("a"), 0).latents == Config.load("digits").latents
    mine = study.config(study.row("b"), 0)
    assert (mine.latents["dim"], mine.training["epochs"], mine.seed) == (5, 3, 0)


@pytest.mark.parametrize(("own", "samples"), [("", 64), ("[evaluation]\nsamples = 9\n", 9)])
def test_all_rows_are_evaluated_as_the_base_says_and_the_study_over_it(own: str, samples: int, tmp_path: Path) -> None:
    for recipe, evaluation in (("base", "{ samples = 64, seed = 7 }"), ("row", "{ samples = 3 }")):
        (tmp_path / f"{recipe}.toml").write_text(f'data = "digits"\nseed = 5\nevaluation = {evaluation}\n')
    rows = '[[rows]]\nname = "a"\n[[rows]]\nname = "b"\nrecipe = "row.toml"\n'
    (tmp_path / "s.toml").write_text(f'title = "t"\nseeds = [0]\nbase = "base.toml"\n{own}{rows}')
    study = Study.load(tmp_path / "s.toml")
    configs = [study.config(row, 1) for row in study.rows]
    assert [(c.seed, c.evaluation.samples, c.evaluation.seed) for c in configs] == [(1, samples, 7)] * 2


@pytest.mark.parametrize("change", ['"seed" = 3', '"evaluation.samples" = 9', "evaluation = { samples = 9 }"])
@pytest.mark.parametrize("where", ["[[rows]]\nname = 'a'\noverrides = {%s}", "[[axes]]\na = { overrides = {%s} }"])
def test_what_rows_share_is_not_set_by_one(where: str, change: str, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text('title = "t"\nseeds = [0]\nbase = "digits"\n' + where % change)
    with pytest.raises(
        InputError, match=r"overrides: expected changes that rows may differ in; got '(seed|evaluation)"
    ):
        Study.load(tmp_path / "s.toml")


@pytest.mark.parametrize(
    ("metric", "known"),
    [
        ("edges", True),
        ("log_likelihood_7", True),
        ("posterior_kl_3", True),
        ("log_likelihood_8", False),
        ("edgse", False),
        ("rmse", False),
    ],
)
def test_metrics_are_those_that_something_measures(metric: str, known: bool, tiny: Path) -> None:
    measures = 'measures = ["graph", { name = "importance", samples = 7 }, "true_posterior"]\n'
    tiny.write_text(tiny.read_text().replace("seeds =", f"{measures}seeds =").replace('["elbo"', f'["{metric}"'))
    assert f'"{metric}"' in tiny.read_text()
    if known:
        assert Study.load(tiny).metrics[0] == metric
    else:
        with pytest.raises(InputError, match=f"expected a metric; got '{metric}'"):
            Study.load(tiny)


MEASURED = [name for name in studies() if (RESULTS / f"{name}.json").is_file()]


@pytest.mark.parametrize("name", MEASURED)
def test_measures_declare_what_they_find(name: str) -> None:
    """Every figure of the committed results is known before a run, so that it may be a metric."""
    study = Study.load(name)
    known = (*EVALUATED, *(name for spec in study.measures for name in figures_of(spec) or ()))
    runs = [run for row in json.loads((RESULTS / f"{name}.json").read_text())["rows"] for run in row["runs"]]
    told = {"seed", "samples", "count", "config_digest", "provenance"}
    assert not [name for run in runs for name in run.keys() - told if not is_figure(name, known)]


def test_a_measure_of_a_plugin_that_declares_nothing_may_find_anything(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(components._components["measure"], "anything", lambda model, data, held_out: Measured())
    tiny.write_text(tiny.read_text().replace("seeds =", 'measures = ["anything"]\nseeds =').replace('"elbo"', '"x"'))
    assert Study.load(tiny).metrics[0] == "x"


def test_digests_tell_recipes_apart_and_not_places(tiny: Path, tmp_path: Path) -> None:
    def digests(text: str) -> list[str]:
        (tmp_path / "other.toml").write_text(text)
        study = Study.load(tmp_path / "other.toml")
        return [study.digest(row, seed) for row in study.rows for seed in study.seeds]

    text = tiny.read_text()
    first = digests(text)
    assert len(set(first)) == 4
    assert digests(text.replace("Two tiny", "Some")) == first
    assert digests(text.replace('label = "full covariance"', "")) == first
    assert digests(text.replace("samples = 5", 'samples = 5\nmemory = "1GiB"')) == first
    for old, new in (
        ("samples = 5", "samples = 6"),
        ("epochs = 2", "epochs = 3"),
        ("depth = 1 }\nlat", "depth = 2 }\nlat"),
    ):
        assert not set(digests(text.replace(old, new))) & set(first)
    only = digests(text.replace('"full" }', '"diagonal" }'))
    assert only[:2] == first[:2]
    assert not set(only[2:]) & set(first)
    mnist = [text.replace('"digits"', f'{{ name = "mnist", dir = "{place}" }}') for place in ("", "/elsewhere")]
    assert digests(mnist[0]) == digests(mnist[1])
    own = [text.replace('"digits"', f'{{ name = "file", path = "{path}.npy" }}') for path in ("a", "b")]
    assert not set(digests(own[0])) & set(digests(own[1]))
    recipes = [{"data": {"name": "file", "path": path}} for path in ("a.npy", "./a.npy", "b.npy")]
    assert [Config.resolve(recipes[0]).digest() == Config.resolve(other).digest() for other in recipes] == [1, 1, 0]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("seeds", "seds", "seds: a study has no such entry; did you mean 'seeds'?"),
        ("overrides", "override", "rows.1.override: no such option; did you mean 'overrides'?"),
        ("samples = 5", "sample = 5", "evaluation.sample: no such option; did you mean 'samples'?"),
        ("seeds = [0, 1]", "seeds = []", "tiny.toml.seeds: expected 1 or more entries; got 0: add"),
        ("seeds = [0, 1]", "seeds = [1, 0, 1]", "tiny.toml.seeds: expected different seeds; got 1 twice"),
        (
            '"log_likelihood"]',
            '"log_likelyhood"]',
            "got 'log_likelyhood', which nothing measures: add the measure that does; did you mean 'log_likelihood'",
        ),
        (
            "elbo = -20.5",
            "elbow = -20.5",
            "got 'elbow', which nothing measures: add the measure that does; did you mean 'elbo'?",
        ),
        (
            'metrics = ["elbo", "log_likelihood"]',
            "metrics = []",
            "tiny.toml.metrics: expected 1 or more entries; got 0",
        ),
        ("elbo = -20.5", 'elbo = "low"', "rows.1.published: expected a number for 'elbo'; got 'low'"),
        ('source = "a paper"', "source = 3", "rows.1.published: expected words for 'source'; got 3"),
        ("[evaluation]\nsamples = 5", "evaluation = 5", "evaluation: expected a table; got 5"),
        ("seeds = [0, 1]", "seeds = [-1]", "greater than or equal to 0; got -1"),
        ('name = "full"', 'name = "diagonal"', "expected rows of different names; got 'diagonal' twice"),
        ('name = "full"', 'name = "../full"', "rows.1.name: expected a name of letters, digits"),
        ('family" = "full"', 'family" = "fall"', "study 'tiny', row 'full': "),
        ("latents.posterior.family", "latents.posterior.famly", "did you mean 'family'?"),
        ("title", "# title", "tiny.toml.title: expected"),
    ],
)
def test_mistakes_are_named(old: str, new: str, said: str, tiny: Path) -> None:
    tiny.write_text(tiny.read_text().replace(old, new))
    with pytest.raises(InputError) as error:
        Study.load(tiny)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ("rows = 3", "rows: expected a list of tables; got 3"),
        ("rows = [3]", "rows.0: expected a table; got 3"),
        ("axes = 3", "axes: expected a list of tables; got 3"),
        ("axes = [3]", "axes.0: expected a table of choices; got 3"),
        ("axes = [{ a = 3 }]", "axes.0.a: expected a table; got 3"),
    ],
)
def test_what_is_no_table_is_refused(tables: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "bare.toml"
    path.write_text(f'title = "t"\nseeds = [0]\nbase = "digits"\n{tables}\n')
    with pytest.raises(InputError) as error:
        Study.load(path)
    assert said in str(error.value)


def test_unknown_studies_and_rows(tiny: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'mnist-mlp'"):
        read_toml("mnist-mpl", "studies", "study")
    with pytest.raises(InputError, match="expected a row of the study 'tiny'; got 'ful'; did you mean 'full'"):
        Study.load(tiny).row("ful")


AXES = """
title = "Crossed"
seeds = [0]
[base]
data = "digits"
[[axes]]
small = { label = "2", overrides = { "latents.dim" = 2 } }
large = { overrides = { "latents.dim" = 9 } }
[[axes]]
diagonal = {}
full = { overrides = { "latents.posterior.family" = "full" } }
"""


def test_axes_are_crossed_into_rows(tmp_path: Path) -> None:
    (tmp_path / "crossed.toml").write_text(AXES)
    study = Study.load(tmp_path / "crossed.toml")
    assert [row.name for row in study.rows] == ["small-diagonal", "small-full", "large-diagonal", "large-full"]
    assert [row.label for row in study.rows] == ["2, diagonal", "2, full", "large, diagonal", "large, full"]
    config = study.config(study.row("large-full"), 0)
    assert (config.latents["dim"], config.latents["posterior"]["family"]["name"]) == (9, "full")
    assert study.places == [[("small", "2"), ("large", "large")], [("diagonal", "diagonal"), ("full", "full")]]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "[[axes]]\ndiagonal",
            '[[rows]]\nname = "a"\n[[axes]]\ndiagonal',
            "expected rows or axes of a study; got both",
        ),
        ("small = ", '"a b" = ', "axes: row 'a b-diagonal'"),
        (AXES[AXES.index("[[axes]]") :], "", "expected an axis of a study; got axes = "),
        ("label = ", "labels = ", r"axes\.0\.small\.labels: no such option; did you mean 'label'\?"),
    ],
)
def test_mistakes_in_axes_are_named(old: str, new: str, sentence: str, tmp_path: Path) -> None:
    text = AXES.replace(old, new, 1)
    (tmp_path / "crossed.toml").write_text(text if "[[axes]]" in text else "axes = []\n" + text)
    with pytest.raises(InputError, match=sentence):
        Study.load(tmp_path / "crossed.toml")
