"""list, show and check."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from flowvae import errors, registry
from flowvae.cli import main
from flowvae.config import Config, recipes
from flowvae.study import studies
from tests.cli.conftest import Command


def test_list_names_everything_there_is(command: Command) -> None:
    kind, kinds = "", dict[str, list[str]]()
    for line in command("list").stdout.splitlines():
        if line.startswith("  "):
            name, _, about = line.strip().partition("  ")
            assert about.strip(), f"nothing is said about {name}"
            kinds[kind].append(name)
        elif line and not line.startswith("'"):
            kind = line
            kinds[kind] = []
    assert kinds == {kind: registry.names(kind) for kind in registry.PACKAGES if registry.names(kind)} | {
        "recipe": recipes(),
        "study": studies(),
    }


def test_one_kind_alone_is_listed(capsys: pytest.CaptureFixture[str], refused: Callable[..., str]) -> None:
    assert main(["list", "flow"]) == 0
    head, *lines, _, _ = capsys.readouterr().out.splitlines()
    assert head == "flow"
    assert [line.split()[0] for line in lines] == registry.names("flow")
    assert "did you mean 'flow'?" in refused("list", "flows")


def test_a_long_list_of_names_is_cut_and_says_where_it_goes_on(refused: Callable[..., str]) -> None:
    sources = registry.names("data")
    said = refused("show", "data/zzz")
    assert f"{sources[7]!r}, ... ({len(sources) - 8} more: see 'flowvae list data')" in said
    assert sources[-1] not in said
    assert "more: see 'flowvae list data')" in refused("train", "digits", "--out", "run", "--data", "zzz")
    assert "more: see 'flowvae list study')" in refused("study", "run", "zzz")
    assert "more: see 'flowvae list')" in refused("show", "qqqqqqq")


def test_options_that_do_not_fit_a_sentence_are_shown_elsewhere(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errors, "MOST", 9)
    flow = "latents.posterior.flow={name = 'iaf', qqqqq = 1}"
    said = refused("train", "digits", "--out", "run", "--set", flow)
    assert "'iaf' has no such option; expected one of 'activation', " in said
    assert "more: see 'flowvae show flow/iaf')" in said


def test_show_prints_documentation_and_options(command: Command) -> None:
    shown = command("show", "iaf").stdout
    assert registry.describe("flow", "iaf") in shown
    for act, words in registry.cost("flow", "iaf").items():
        assert f"  {act}  {words}\n" in shown
    table = {line.split()[0]: line for line in shown.partition("\noptions\n")[2].splitlines()}
    assert list(table) == [option.name for option in registry.options("flow", "iaf")]
    assert table["steps"].split()[1:] == ["int", ">=", "1", "4"]
    assert table["update"].endswith('"gated"')


def test_show_tells_kinds_apart(capsys: pytest.CaptureFixture[str], refused) -> None:
    assert "'flowvae show encoder/mlp' or 'flowvae show decoder/mlp'" in refused("show", "mlp")
    assert main(["show", "decoder/mlp"]) == 0
    assert capsys.readouterr().out.startswith("decoder mlp\n")


@pytest.mark.parametrize("name", recipes())
def test_show_prints_a_recipe_to_start_from(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", f"recipe/{name}"]) == 0
    (tmp_path / "mine.toml").write_text(capsys.readouterr().out)
    assert Config.load(tmp_path / "mine.toml") == Config.load(name)


def test_check_says_what_a_file_holds(command: Command, tmp_path: Path) -> None:
    x = np.arange(24.0).reshape(6, 4)
    x[4] = x[1]
    np.save(tmp_path / "x.npy", x)
    said = command("check", "x.npy").stdout
    assert "(6, 4)" in said
    assert "[0, 23]" in said
    assert "1 row repeats" in said


def test_check_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "x.npy", np.array([[0.0, np.nan], [1.0, 0.5]]))
    assert main(["check", str(tmp_path / "x.npy"), "--json", "--size", "8"]) == 2
    assert main(["check", str(tmp_path / "x.npy"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["missing"], found["minimum"], found["maximum"]) == (1, 0.0, 1.0)
