"""Running a study: what is missing and nothing else, through changes, failures, kills and interrupts."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import flowvae as fv
from flowvae import jobs
from flowvae.cli import main
from flowvae.engine import read_journal
from flowvae.results import Results

Run = Callable[..., str]


@pytest.fixture
def run(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """``run("--rows", "full")``: the command, in this process; what it said."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, code: int = 0) -> str:
        assert main(["study", "run", "tiny.toml", *arguments]) == code
        return capsys.readouterr().err

    return call


def process(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    source = str(Path(fv.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-m", "flowvae", *arguments], cwd=cwd, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": source, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def figures(folder: Path) -> dict[tuple[str, int], float]:
    rows = Results(folder / "results", "tiny").read()["rows"]
    return {(row["name"], run["seed"]): run["log_likelihood"] for row in rows for run in row["runs"]}


def test_another_study_of_the_same_name_is_refused(run: Run, tiny: Path, tmp_path: Path) -> None:
    run("--rows", "diagonal", "--seeds", "0")
    before = figures(tmp_path)
    text = tiny.read_text()
    tiny.write_text(text.replace("Two tiny", "Some other"))
    assert "1 of 1 runs are done" in run("--rows", "diagonal", "--seeds", "0"), "a new title is no other study"
    tiny.write_text(text.replace("Two tiny", "Some other").replace("epochs = 2", "epochs = 3"))
    said = run("--rows", "diagonal", "--seeds", "0", code=2)
    assert "got those of another study of that name, 'Two tiny" in said
    assert "rename the file, or name other folders by --results and --runs" in said
    assert figures(tmp_path) == before


def test_a_study_is_run_told_and_shown(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = run()
    assert "full, seed 1: run 4 of 4" in said
    assert re.search(r"full, seed 1: ELBO -\d\d\.\d\d, log p\(x\) -\d\d\.\d\d, \d+ s of training", said)
    assert "next: flowvae study table tiny.toml" in said
    record = Results(tmp_path / "results", "tiny").read()
    folder = tmp_path / "runs" / "tiny" / "full" / "seed-1"
    found = record["rows"][1]["runs"][1]
    expected = fv.evaluate(fv.load(folder), fv.load_data("digits").test, samples=5)
    assert found["elbo"] == pytest.approx(expected.elbo, abs=1e-4)
    assert found["log_likelihood_se"] == pytest.approx(expected.standard_error, abs=1e-4)
    assert (found["samples"], found["count"], found["epochs"]) == (5, 360, 2)
    validated = [line["elbo"] for line in read_journal(folder / "journal.jsonl") if line["kind"] == "validation"]
    assert found["validation_elbo"] == max(validated)
    assert found["best_epoch"] == 1 + int(np.argmax(validated))
    assert found["provenance"]["command"] == "flowvae study run tiny.toml --rows full --seeds 1"
    assert record["provenance"]["data"] == {
        "name": "digits", "digest": fv.load_data("digits").digest, "binarise": "dynamic",
    }  # fmt: skip
    curves = json.loads((tmp_path / "results" / "tiny-curves.json").read_text())
    assert [point[0] for point in curves["full"]["1"]] == [1.0, 2.0]
    assert [point[2] for point in curves["full"]["1"]] == pytest.approx(validated, abs=1e-3)
    with np.load(tmp_path / "results" / "tiny.npz") as arrays:
        assert arrays["diagonal/samples"].shape == (36, 1, 8, 8)
        assert arrays["full/means"].shape == arrays["full/originals"].shape == (10, 1, 8, 8)

    before = (tmp_path / "results" / "tiny.json").read_bytes()
    assert "4 of 4 runs are done" in run()
    assert (tmp_path / "results" / "tiny.json").read_bytes() == before

    assert main(["study", "table", "tiny", "--format", "markdown"]) == 0
    table = capsys.readouterr().out
    value = figures(tmp_path)
    differences = [value["diagonal", seed] - value["full", seed] for seed in (0, 1)]  # in -log p(x)
    mean, error = np.mean(differences), np.std(differences, ddof=1) / np.sqrt(2)
    assert f"{abs(mean):.2f} ({error:.2f})" in table
    assert f"{np.mean([-value['full', 0], -value['full', 1]]):.2f}" in table
    assert "20.50" in table
    assert "a paper" in table
    for style, start in (("html", "<"), ("json", "{"), ("text", "")):
        assert main(["study", "table", "tiny", "--format", style]) == 0
        assert capsys.readouterr().out.startswith(start)
    assert main(["report", "tiny", "-o", "page.html"]) == 0
    page = (tmp_path / "page.html").read_text()
    assert "Two tiny posteriors" in page
    assert "full covariance" in page
    assert page.count("data:image/png;base64,") >= 4
    assert main(["report", "tiny.toml", "-o", "page.html", "--runs", "none"]) == 0
    page = (tmp_path / "page.html").read_text()
    assert "flowvae study run tiny.toml --rows full --seeds 0,1 --results results-again --runs none" in page
    assert page.count("data:image/png;base64,") == 4


def test_processes_give_the_same_results(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("--seeds", "0")
    alone = figures(tmp_path)
    monkeypatch.setattr(jobs, "cores", lambda: 6)
    other = tmp_path / "other"
    said = run("--seeds", "0", "--jobs", "2", "--runs", str(other / "runs"), "--results", str(other / "results"))
    assert figures(other) == pytest.approx(alone, abs=1e-6)
    log = other / "runs" / "tiny" / "full" / "seed-0" / "log.txt"
    assert said.index(f"full, seed 0: started, log in {log}") < said.index("full, seed 0: ELBO")
    assert re.search(r"full, seed 0: ELBO -.* \([12] of 2\)", said)
    assert "full, seed 0: ELBO" in log.read_text()
    rows = Results(other / "results", "tiny").read()["rows"]
    assert [run["provenance"]["machine"]["threads"] for row in rows for run in row["runs"]] == [3, 3]


def test_a_changed_recipe_is_run_anew_and_nothing_is_lost(
    run: Run, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("--seeds", "0")
    before = figures(tmp_path)
    tiny.write_text(tiny.read_text().replace('"full" }', '"full", "latents.dim" = 3 }'))
    assert "another recipe" not in run("--seeds", "0", "--rows", "diagonal")
    assert figures(tmp_path) == before, "a row that is not chosen is left alone"
    assert main(["study", "table", "tiny.toml", "--format", "json"]) == 0
    assert [len(row["runs"]) for row in json.loads(capsys.readouterr().out)["rows"]] == [1, 0]
    assert main(["study", "table", "tiny.toml", "--format", "markdown"]) == 0
    assert "Left out, as made from other recipes: full (seed 0)." in capsys.readouterr().out
    said = run("--seeds", "0")
    assert "full, seed 0: made from another recipe; that result is kept, outside the table, until" in said
    assert "1 of 2 runs are done" in said
    aside = tmp_path / "runs" / "tiny" / "full" / "seed-0.aside-1"
    assert str(aside.relative_to(tmp_path)) in said
    assert json.loads((aside / "evaluation.json").read_text())["log_likelihood"] == before["full", 0]
    after = figures(tmp_path)
    assert after["diagonal", 0] == before["diagonal", 0]
    assert after["full", 0] != before["full", 0]


def test_results_that_cannot_be_written_are_refused_before_any_training(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in ("file", "file/results"):
        assert f"can be written to; got '{folder}'" in run("--results", folder, code=2)
    assert not (tmp_path / "runs").exists()


def test_other_evaluation_needs_no_other_training(run: Run, tiny: Path, tmp_path: Path) -> None:
    run("--seeds", "0", "--rows", "full")
    journal = tmp_path / "runs" / "tiny" / "full" / "seed-0" / "journal.jsonl"
    before = journal.read_bytes()
    tiny.write_text(tiny.read_text().replace("samples = 5", "samples = 9"))
    run("--seeds", "0", "--rows", "full")
    assert Results(tmp_path / "results", "tiny").read()["rows"][1]["runs"][0]["samples"] == 9
    assert journal.read_bytes() == before


def test_one_failure_does_not_stop_the_others(run: Run, tiny: Path, tmp_path: Path) -> None:
    tiny.write_text(tiny.read_text().replace('"full" }', '"full", "optimiser.lr" = 1e30 }'))
    said = run("--seeds", "0", "--jobs", "2", code=2)
    last = said.splitlines()[-1]
    assert last.startswith("flowvae: expected all runs to finish; got 1 of 2 that failed (full, seed 0: see ")
    assert last.endswith("log.txt): run the same command again once that is mended")
    assert list(figures(tmp_path)) == [("diagonal", 0)]
    assert "is not finite" in (tmp_path / "runs" / "tiny" / "full" / "seed-0" / "log.txt").read_text()


def test_a_killed_study_goes_on_where_it_was(run: Run, tiny: Path, tmp_path: Path) -> None:
    long = "epochs = 40, checkpoint_every_seconds = 0.05"
    tiny.write_text(tiny.read_text().replace("epochs = 2", long))
    arguments = ["--rows", "full", "--seeds", "0", "--runs", "killed", "--results", "killed"]
    started = process("study", "run", "tiny.toml", *arguments, cwd=tmp_path)
    journal = tmp_path / "killed" / "tiny" / "full" / "seed-0" / "journal.jsonl"
    wait_for(lambda: journal.exists() and journal.read_text().count("validation") > 5, started)
    started.kill()
    started.communicate()
    assert not (tmp_path / "killed" / "tiny.json").exists()
    run(*arguments)
    assert "resumed at step" in journal.read_text()
    run("--rows", "full", "--seeds", "0")
    (whole,), (resumed,) = (
        Results(tmp_path / name, "tiny").read()["rows"][1]["runs"] for name in ("results", "killed")
    )
    for name in ("elbo", "log_likelihood", "best_epoch", "config_digest"):
        assert resumed[name] == whole[name]


def test_an_interrupt_saves_every_run_under_way(run: Run, tiny: Path, tmp_path: Path) -> None:
    tiny.write_text(tiny.read_text().replace("epochs = 2", "epochs = 5000"))
    started = process("study", "run", "tiny.toml", "--seeds", "0", "--jobs", "2", cwd=tmp_path)
    folders = [tmp_path / "runs" / "tiny" / row / "seed-0" for row in ("diagonal", "full")]
    journals = [folder / "journal.jsonl" for folder in folders]
    wait_for(lambda: all(path.exists() and path.read_text().count("\n") > 3 for path in journals), started)
    assert "in use by another process" in run("--seeds", "0", "--rows", "full", code=2)
    started.send_signal(signal.SIGTERM)
    _, said = started.communicate(timeout=60)
    assert started.returncode == 143
    assert said.splitlines()[-1] == "flowvae: interrupted; what is trained is kept: run the same command again to go on"
    for folder in folders:
        assert "interrupted" in (folder / "log.txt").read_text().splitlines()[-1]
        assert (folder / "checkpoint.pt").is_file()
    sizes = [path.stat().st_size for path in journals]
    time.sleep(0.3)
    assert [path.stat().st_size for path in journals] == sizes, "no process trains on"


def test_the_demo_tells_its_table_and_what_is_next(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from flowvae.study import Study

    small = Study.load(tiny).model_copy(update={"name": "digits-demo", "seeds": [0]})
    monkeypatch.setattr(Study, "load", lambda source: small)
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--jobs", "1"]) == 0
    said = capsys.readouterr().out
    assert "full covariance" in said
    assert "demo/report.html" in said
    assert "flowvae train" in said
    assert "Two tiny posteriors" in (tmp_path / "demo" / "report.html").read_text()
    assert (tmp_path / "demo" / "results" / "digits-demo.json").is_file()


@pytest.mark.slow
def test_the_demo_shows_that_flows_tighten_the_bound(tmp_path: Path) -> None:
    started = process("demo", cwd=tmp_path)
    _, said = started.communicate(timeout=600)
    assert started.returncode == 0, said
    rows = Results(tmp_path / "demo" / "results", "digits-demo").read()["rows"]
    gaps = {row["name"]: np.mean([run["gap"] for run in row["runs"]]) for row in rows}
    assert gaps["diagonal"] > gaps["full"] > gaps["iaf"]
    assert gaps["diagonal"] > gaps["planar"]


def test_a_study_measures_its_runs(run: Run, tiny: Path, tmp_path: Path) -> None:
    """Figures join the results and the table, arrays the pictures; a study without measures keeps its digests."""
    tiny.write_text(
        tiny.read_text().replace(
            'metrics = ["elbo"', 'measures = [{ name = "true_posterior", count = 2 }]\nmetrics = ["posterior_kl"'
        )
    )
    run("--rows", "full", "--seeds", "0")
    (row,) = [row for row in Results(tmp_path / "results", "tiny").read()["rows"] if row["runs"]]
    figures = row["runs"][0]
    assert figures["posterior_kl"] == pytest.approx((figures["posterior_kl_0"] + figures["posterior_kl_1"]) / 2)
    with np.load(tmp_path / "results" / "tiny.npz") as arrays:
        assert arrays["full/true_posterior/q"].shape == arrays["full/true_posterior/true"].shape == (2, 121, 121)
    tiny.write_text(tiny.read_text().replace("count = 2", "counts = 2"))
    assert "measures.0.counts" in run(code=2)
