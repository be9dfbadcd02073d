"""The results file: runs are added one by one, replaced, set apart with their recipe, and never lost to a neighbour."""

import json
import multiprocessing
import threading
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flowvae import InputError
from flowvae.files import load_arrays, save_arrays
from flowvae.results import Results, locked, run_folders, seeds_elsewhere
from flowvae.study import Study


def add(results: Results, study: Study, row: str, seed: int, elbo: float = -20.0) -> None:
    run = {"seed": seed, "elbo": elbo, "config_digest": study.digest(study.row(row), seed)}
    pictures = {
        f"of-{elbo}": np.eye(2),
        "samples": np.full((2, 1, 4, 4), seed / 4, np.float32),
        "originals": np.eye(4, dtype=np.float32),
    }
    results.add(study, row, run, {"command": "test"}, [[1.0, elbo, None, 2.0]], pictures)


def seeds(record: dict[str, Any], part: str) -> dict[str, list[int]]:
    return {row["name"]: [run["seed"] for run in row["runs"]] for row in record[part]}


def add_all(folder: Path, source: Path, seeds: range) -> None:
    study = Study.load(source)
    for seed in seeds:
        add(Results(folder, "tiny"), study, "full", seed)


def test_runs_are_added_in_the_order_of_the_study(tiny: Path, tmp_path: Path) -> None:
    study, results = Study.load(tiny), Results(tmp_path / "results", "tiny")
    for row, seed in (("full", 1), ("full", 0), ("diagonal", 0)):
        add(results, study, row, seed)
    record = results.read()
    assert (record["study"], record["title"], record["metrics"]) == ("tiny", study.title, study.metrics)
    assert [(row["name"], [run["seed"] for run in row["runs"]]) for row in record["rows"]] == [
        ("diagonal", [0]),
        ("full", [0, 1]),
    ]
    assert record["rows"][1]["label"] == "full covariance"
    assert record["rows"][1]["published"] == {"elbo": -20.5, "source": "a paper", "binarise": "static"}
    assert "published" not in record["rows"][0]
    assert json.loads(results.curves.read_text()) == {
        "full": {"1": [[1.0, -20.0, None, 2.0]], "0": [[1.0, -20.0, None, 2.0]]},
        "diagonal": {"0": [[1.0, -20.0, None, 2.0]]},
    }
    assert results.has("full", 1, study.digest(study.row("full"), 1))
    assert not results.has("diagonal", 1, study.digest(study.row("diagonal"), 1))


def test_a_run_replaces_that_of_its_seed(tiny: Path, tmp_path: Path) -> None:
    study, results = Study.load(tiny), Results(tmp_path, "tiny")
    add(results, study, "full", 0, -30.0)
    add(results, study, "full", 0, -25.0)
    assert [run["elbo"] for run in results.read()["rows"][1]["runs"]] == [-25.0]
    assert json.loads(results.curves.read_text())["full"]["0"][0][1] == -25.0


def test_pictures_are_those_of_the_first_seed_and_small(tiny: Path, tmp_path: Path) -> None:
    study, results = Study.load(tiny), Results(tmp_path, "tiny")
    add(results, study, "full", 1)
    add(results, study, "full", 2)
    add(results, study, "diagonal", 1)
    with np.load(results.pictures) as arrays:
        assert sorted(arrays) == [
            f"{row}/{kind}" for row in ("diagonal", "full") for kind in ("of--20.0", "originals", "samples")
        ]
        assert arrays["full/samples"].dtype == np.uint8
        assert arrays["full/samples"][0, 0, 0, 0] == 64  # 255 / 4
        assert arrays["full/originals"].max() == 1


def test_results_of_another_recipe_stay_out_of_the_table_until_their_successors_come(
    tiny: Path, tmp_path: Path
) -> None:
    study, results = Study.load(tiny), Results(tmp_path / "results", "tiny")
    for row, seed in (("diagonal", 0), ("full", 0), ("full", 1)):
        add(results, study, row, seed)
    before = results.read()
    assert results.of(study) == before
    text = tiny.read_text()
    tiny.write_text(text.replace('"full" }', '"full", "latents.dim" = 3 }').replace("Two tiny", "Changed"))
    changed = Study.load(tiny)
    assert seeds(results.of(changed), "rows") == {"diagonal": [0], "full": []}
    assert seeds(results.of(changed), "earlier") == {"full": [0, 1]}
    assert results.read() == before
    add(results, changed, "diagonal", 1)
    assert (seeds(results.read(), "rows"), seeds(results.read(), "earlier")) == (
        {"diagonal": [0, 1], "full": []},
        {"full": [0, 1]},
    )
    assert results.of(study)["rows"][1] == before["rows"][1], "nothing is lost"
    assert json.loads(results.curves.read_text())["full"].keys() == {"0", "1"}
    with np.load(results.pictures) as arrays:
        assert "full/samples" in arrays
    add(results, changed, "full", 1, -25.0)
    assert seeds(results.read(), "rows") == {"diagonal": [0, 1], "full": [1]}
    assert seeds(results.read(), "earlier") == {"full": [0]}
    assert not results.has("full", 0, changed.digest(changed.row("full"), 0))
    assert results.has("full", 0, study.digest(study.row("full"), 0))
    with np.load(results.pictures) as arrays:
        assert "full/of--20.0" not in arrays
        assert arrays["full/samples"].max() == 64, "the pictures are those of the first run in the table"
    add(results, changed, "full", 0)
    assert "earlier" not in results.read()


def test_a_row_that_the_study_no_longer_has_is_kept_outside_the_table(tiny: Path, tmp_path: Path) -> None:
    study, results = Study.load(tiny), Results(tmp_path / "results", "tiny")
    add(results, study, "full", 0)
    tiny.write_text(tiny.read_text().replace('name = "full"', 'name = "dense"'))
    add(results, Study.load(tiny), "dense", 0)
    assert (seeds(results.read(), "rows"), seeds(results.read(), "earlier")) == (
        {"diagonal": [], "dense": [0]},
        {"full": [0]},
    )


def test_a_file_does_not_share_the_results_of_a_packaged_study(tiny: Path) -> None:
    copy = tiny.with_name("mnist-mlp.toml")
    copy.write_text(tiny.read_text())
    with pytest.raises(InputError, match="packaged study 'mnist-mlp': rename the file"):
        Study.load(copy)
    copy.write_bytes(files("flowvae").joinpath("studies", "mnist-mlp.toml").read_bytes())
    assert Study.load(copy).rows == Study.load("mnist-mlp").rows


def test_processes_add_without_losing_each_others_runs(tiny: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    parts = [context.Process(target=add_all, args=(tmp_path, tiny, range(k, 16, 4))) for k in range(4)]
    for part in parts:
        part.start()
    for part in parts:
        part.join(60)
    assert [run["seed"] for run in Results(tmp_path, "tiny").read()["rows"][1]["runs"]] == list(range(16))


def test_a_folder_in_use_is_waited_for_or_refused(tmp_path: Path) -> None:
    entered = threading.Event()

    def enter() -> None:
        with locked(tmp_path):
            entered.set()

    with locked(tmp_path):
        with pytest.raises(InputError, match="in use by another process"), locked(tmp_path, wait=False):
            pass
        waiting = threading.Thread(target=enter)
        waiting.start()
        assert not entered.wait(0.1)
    waiting.join(10)
    assert entered.is_set()


def test_torn_and_missing_files(tiny: Path, tmp_path: Path) -> None:
    results = Results(tmp_path, "tiny")
    with pytest.raises(InputError, match=f"make them with 'flowvae study run tiny --results {tmp_path}'"):
        results.read()
    results.path.write_text('{"rows": [')
    with pytest.raises(InputError, match="expected JSON"):
        results.read()
    save_arrays(results.pictures, a=np.ones(100))
    for content in (results.pictures.read_bytes()[:60], b"", b"no archive"):
        results.pictures.write_bytes(content)
        with pytest.raises(InputError, match=r"expected arrays in '.*tiny.npz'; got .*: restore the file or move it"):
            load_arrays(results.pictures)


def test_folders_are_here_or_elsewhere(tmp_path: Path) -> None:
    record = {"study": "tiny", "rows": [{"name": "full", "runs": [{"seed": 0}, {"seed": 1}]}]}
    here = tmp_path / "tiny" / "full" / "seed-1"
    here.mkdir(parents=True)
    (here / "config.toml").touch()
    assert run_folders(record, tmp_path) == [here]
    assert seeds_elsewhere(record, tmp_path) == {"full": [0]}
