"""What is asked of a run, against the library asked directly."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import flowvae as fv
from flowvae import InputError
from flowvae.cli import main
from flowvae.config import Config
from flowvae.data import omniglot
from flowvae.runs import Opened, data_of, untrained
from tests.cli.conftest import SMALL, Command


@pytest.fixture(scope="module")
def library(trained: Path) -> fv.Evaluation:
    return fv.evaluate(fv.load(trained), fv.load_data("digits").test, samples=20)


def close(a: float, b: float) -> bool:
    return abs(a - b) < 1e-4


def test_evaluate_is_the_librarys(trained: Path, library: fv.Evaluation) -> None:
    assert (trained.parent / "evaluate.txt").read_text() == f"{library}\n"
    kept = json.loads((trained / "evaluation.json").read_text())
    assert kept["split"] == "test"
    assert close(kept["elbo"], library.elbo)
    assert close(kept["log_likelihood"], library.log_likelihood)
    with np.load(trained / "samples.npz") as arrays:
        assert arrays["samples"].shape == (64, 1, 8, 8)
    with np.load(trained / "reconstructions.npz") as arrays:
        seen = fv.load_data("digits").test.take(16).frozen(0).values.numpy()
        assert np.array_equal(arrays["originals"], seen)


def test_an_evaluation_is_not_replaced_in_silence(trained: Path, tmp_path: Path, capsys) -> None:
    shutil.copytree(trained, tmp_path / "run")
    assert main(["evaluate", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().err == ""
    assert main(["evaluate", str(tmp_path / "run"), "--samples", "3"]) == 0
    assert "in place of an evaluation with K = 20, seed 0" in capsys.readouterr().err
    (tmp_path / "run" / "evaluation.json").write_text("{")
    assert main(["evaluate", str(tmp_path / "run"), "--samples", "3"]) == 0
    assert json.loads((tmp_path / "run" / "evaluation.json").read_text())["samples"] == 3


def test_evaluate_on_other_data_is_not_kept(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (trained / "evaluation.json").read_bytes()
    assert main(["evaluate", str(trained), "--split", "validation", "--samples", "7", "--seed", "3", "--json"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    expected = fv.evaluate(fv.load(trained), fv.load_data("digits").validation, samples=7, seed=3)
    assert close(found["log_likelihood"], expected.log_likelihood)
    assert (found["split"], found["count"], found["samples"], found["seed"]) == ("validation", 180, 7, 3)
    assert "not kept in the run" in said.err
    assert (trained / "evaluation.json").read_bytes() == before


def test_data_of_another_shape_are_refused_for_their_shape(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And not for the run's binarisation, of which they know nothing."""
    assert main(["evaluate", str(trained), "--data", "moons"]) == 2
    assert "expected data of shape (1, 8, 8), as the run was trained on; got (2,)" in capsys.readouterr().err


def test_own_data_become_bits_as_the_recipe_s_do_and_are_known_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Evaluated where they have changed, test data might be what the run was trained on."""
    file, run = tmp_path / "my.npy", tmp_path / "run"
    x = np.random.default_rng(0).random((60, 4), dtype=np.float32)
    np.save(file, x)
    changes = [a for change in ("training.epochs=1", "evaluation.samples=2") for a in ("--set", change)]
    assert main(["train", "digits", "--data", str(file), "--out", str(run), "--quiet", *changes]) == 0
    assert Config.load(run / "config.toml").data["binarise"] == "dynamic"
    assert main(["evaluate", str(run), "--quiet"]) == 0
    np.save(file, np.concatenate([x, x]))
    capsys.readouterr()
    assert main(["evaluate", str(run), "--quiet"]) == 2
    assert "was trained on; got others under the same name" in capsys.readouterr().err
    assert main(["evaluate", str(run), "--quiet", "--data", str(file)]) == 0


def test_a_run_s_own_data_are_known_again_wherever_they_lie(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, noise = tmp_path / "run", np.random.default_rng(0)
    for place in ("here", "there", "other"):
        (tmp_path / place).mkdir()
    for place in ("here", "other"):
        images = {name: noise.integers(256, size=(20, 28, 28), dtype=np.uint8) for name in omniglot.ARCHIVES}
        labels = {f"{name}_character": np.arange(20) for name in images}
        np.savez(tmp_path / place / omniglot.PREPARED, **images, **labels)
    shutil.copy(tmp_path / "here" / omniglot.PREPARED, tmp_path / "there")
    arguments = ["train", "digits", "--data", "omniglot", "--data-dir", str(tmp_path / "here"), "--out", str(run)]
    assert main([*arguments, *SMALL, "--quiet"]) == 0
    assert main(["evaluate", str(run), "--data-dir", str(tmp_path / "there"), "--quiet"]) == 0
    kept = (run / "evaluation.json").read_bytes()
    capsys.readouterr()
    assert main(["evaluate", str(run), "--data-dir", str(tmp_path / "other"), "--quiet"]) == 2
    assert "was trained on; got others under the same name" in capsys.readouterr().err
    assert (run / "evaluation.json").read_bytes() == kept


@pytest.fixture
def own(trained: Path, tmp_path: Path) -> Opened:
    """A run that was trained on a file."""
    np.save(tmp_path / "own.npy", fv.load_data("digits").train.values[:50].numpy())
    data = {"name": "file", "path": str(tmp_path / "own.npy"), "scale": 16, "binarise": "dynamic"}
    config = Config.resolve({"data": data, "latents": {"dim": 2}})
    model, found = untrained(config)
    (tmp_path / "environment.json").write_text(json.dumps({"data": {"digest": found.digest}}))
    return Opened(tmp_path, config, model, torch.device("cpu"))


@pytest.mark.parametrize("change", ["seed=1", "test=0.2", "validation=0.5", "name=digits"])
def test_a_runs_own_data_are_not_dealt_anew(own: Opened, change: str) -> None:
    with pytest.raises(
        InputError, match=rf"expected the data as they were dealt for training; got .* data\.{change[:4]}"
    ):
        data_of(own, changes=[f"data.{change}"])


def test_a_runs_own_file_may_have_moved_but_not_changed(own: Opened, tmp_path: Path) -> None:
    kept = data_of(own)
    (tmp_path / "own.npy").rename(tmp_path / "moved.npy")
    there = f"data.path={tmp_path / 'moved.npy'}"
    assert torch.equal(data_of(own, changes=[there]).test.values, kept.test.values)
    thresholds = data_of(own, changes=[there, "data.binarise=threshold"])
    assert (thresholds.test.binarise, thresholds.digest) == ("threshold", kept.digest)
    drawn = data_of(own, changes=[there, "data.binarise=static-seeded"])
    assert drawn.digest != kept.digest, "bits are kept in place of intensities, of the same file"
    np.save(tmp_path / "moved.npy", fv.load_data("digits").train.values[1:51].numpy())
    for changes in ([there], [there, "data.binarise=threshold"], [there, "data.binarise=static-seeded"]):
        with pytest.raises(InputError, match="got others under the same name"):
            data_of(own, changes=changes)


def test_other_data_are_dequantised_as_the_run_s_own(tmp_path: Path) -> None:
    digits = {"name": "digits", "binarise": "none", "dequantise": True}
    config = Config.resolve({"data": digits, "latents": {"dim": 2}, "likelihood": "gaussian"})
    model, _ = untrained(config)
    np.save(tmp_path / "my.npy", fv.load_data("digits").test.values.numpy())
    run = Opened(tmp_path, config, model, torch.device("cpu"))
    found = data_of(run, str(tmp_path / "my.npy"), ["data.scale=16"])
    assert (found.support, found.test.cells) == ("unit", 17)


def test_sample(trained: Path, command: Command, tmp_path: Path) -> None:
    command("sample", trained, "-n", "9", "-o", "grid.png", "--seed", "1")
    first = (tmp_path / "grid.png").read_bytes()
    with Image.open(tmp_path / "grid.png") as picture:
        assert picture.size[0] == picture.size[1] >= 640
    assert main(["sample", str(trained), "-n", "9", "-o", str(tmp_path / "grid.png"), "--seed", "1"]) == 0
    assert (tmp_path / "grid.png").read_bytes() == first
    assert main(["sample", str(trained), "-n", "9", "-o", str(tmp_path / "grid.png"), "--seed", "2"]) == 0
    assert (tmp_path / "grid.png").read_bytes() != first


def test_points_of_the_plane_are_scattered(tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "points.png"
    changes = ("data.count=400", "training.epochs=1", "likelihood.flow.width=8", "likelihood.flow.steps=1")
    arguments = [argument for change in changes for argument in ("--set", change)]
    assert main(["train", "moons", "--out", str(run), *arguments, "--quiet"]) == 0
    assert main(["sample", str(run), "-n", "200", "-o", str(out)]) == 0
    assert main(["sample", str(run), "-n", "2", "-o", str(out.with_suffix(".npz"))]) == 0
    with np.load(out.with_suffix(".npz")) as arrays:
        assert list(arrays) == ["samples"], "no mean is known"
    with Image.open(out) as picture:
        ink = np.asarray(picture.convert("L"), dtype=float) < 200
    assert ink[100:-200, 200:-100].sum() > 1000, "points, and not only axes"


def test_sample_arrays(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "x.npz"
    assert main(["sample", str(trained), "-n", "300", "-o", str(out), "--temperature", "0"]) == 0
    with np.load(out) as arrays:
        drawn, means = arrays["samples"], arrays["means"]
    assert set(np.unique(drawn)) == {0.0, 1.0}
    assert np.ptp(means, axis=0).max() < 1e-6, "at temperature 0 the prior is one point"
    error = np.sqrt(means[0] * (1 - means[0]) / 300)
    assert (np.abs(drawn.mean(0) - means[0]) < 5 * error + 1e-6).all(), "draws of x have the mean of p(x | z)"


def test_reconstruct(trained: Path, command: Command, tmp_path: Path) -> None:
    said = command("reconstruct", trained, "-o", "pairs.npz", "-n", "20", "--seed", "4").stderr
    with np.load(tmp_path / "pairs.npz") as arrays:
        originals, means, errors = arrays["originals"], arrays["means"], arrays["errors"]
    assert np.array_equal(originals, fv.load_data("digits").test.take(20).frozen(4).values.numpy())
    assert np.array_equal(errors, np.abs(originals - means))
    assert f"mean absolute error {errors.mean():.4f}" in said
    assert 0 < means.min() < means.max() < 1
    assert main(["reconstruct", str(trained), "-o", str(tmp_path / "pairs.png")]) == 0
    with Image.open(tmp_path / "pairs.png") as picture:
        assert picture.size[0] > 800


def test_encode(trained: Path, grey: Path, command: Command, tmp_path: Path) -> None:
    command("encode", trained, "--data", grey, "-o", "z.npz", "--samples", "200")
    with np.load(tmp_path / "z.npz") as arrays:
        z, mean, sd = arrays["z"], arrays["mean"], arrays["sd"]
    assert z.shape == mean.shape == sd.shape == (360, 3)
    spread = (z - mean) / sd
    assert abs(spread.mean()) < 0.15
    assert abs(spread.std() - 1) < 0.1
    model, x = fv.load(trained), fv.load_data("digits").test.frozen(0).batch(torch.arange(360))
    torch.manual_seed(11)
    (draws,) = model.encode(x, 400)
    error = draws.std(0).numpy() * np.sqrt(1 / 200 + 1 / 400)
    assert (np.abs(draws.mean(0).numpy() - mean) < 6 * error).all(), "rows are in the order of the file"


def test_encode_keeps_the_labels_of_a_data_set(trained: Path, tmp_path: Path) -> None:
    assert main(["encode", str(trained), "-o", str(tmp_path / "z.npz"), "--split", "validation", "-k", "1"]) == 0
    with np.load(tmp_path / "z.npz") as arrays:
        assert np.array_equal(arrays["labels"], fv.load_data("digits").validation.labels)
        assert np.array_equal(arrays["z"], arrays["mean"])


def test_score_is_the_evaluation_row_by_row(
    trained: Path, grey: Path, library: fv.Evaluation, command: Command, tmp_path: Path
) -> None:
    said = command("score", trained, "--data", grey, "-o", "p.csv").stderr
    with (tmp_path / "p.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["row", "log_px", "elbo", "ess"]
    assert [int(row["row"]) for row in rows] == list(range(360))
    assert library.per_datum is not None
    for name, values in (("log_px", library.per_datum.log_px_hat), ("elbo", library.per_datum.elbo)):
        assert np.allclose([float(row[name]) for row in rows], values, atol=1e-4)
    assert f"mean log p(x) {library.log_likelihood:.2f} with 20 samples" in said


def test_images_of_a_folder_are_told_by_their_files(trained: Path, command: Command, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for number, values in enumerate(fv.load_data("digits").test.values[:3].numpy()):
        Image.fromarray(values[0]).save(tmp_path / "pictures" / f"{'cab'[number]}.png")
    change = ["--data", "pictures", "--set", "data.scale=16"]
    command("score", trained, *change, "-o", "p.csv")
    with (tmp_path / "p.csv").open() as file:
        assert [row["file"] for row in csv.DictReader(file)] == ["a.png", "b.png", "c.png"]
    command("encode", trained, *change, "-o", "z.npz")
    with np.load(tmp_path / "z.npz") as arrays:
        assert arrays["files"].tolist() == ["a.png", "b.png", "c.png"]


def test_columns_of_a_table_are_those_that_were_trained_on(command: Command, tmp_path: Path) -> None:
    values = np.random.RandomState(0).randn(40, 2)
    for name, columns in {"own": "a,b", "same": "a,b", "turned": "b,a", "bare": ""}.items():
        np.savetxt(tmp_path / f"{name}.csv", values, delimiter=",", header=columns, comments="")
    real = ["likelihood.name=gaussian", "data.binarise=none"]
    command(
        "train",
        "digits",
        "--data",
        "own.csv",
        *(word for change in real for word in ("--set", change)),
        "--out",
        "run",
        *SMALL,
        "-q",
    )
    for name in ("same", "bare"):
        command("score", "run", "--data", f"{name}.csv", "-o", f"{name}-scores.csv")
    assert (tmp_path / "same-scores.csv").read_text() == (tmp_path / "bare-scores.csv").read_text()
    command("sample", "run", "-n", "3", "--seed", "4", "-o", "drawn.csv")
    command("sample", "run", "-n", "3", "--seed", "4", "-o", "drawn.npz")
    with np.load(tmp_path / "drawn.npz") as arrays:
        drawn = np.loadtxt(tmp_path / "drawn.csv", delimiter=",", skiprows=1)
        np.testing.assert_allclose(drawn, arrays["samples"], atol=1e-6)
    assert (tmp_path / "drawn.csv").read_text().startswith("a,b\n")
    run = fv.runs.open_run(tmp_path / "run")
    with pytest.raises(
        InputError, match="expected the columns that the run was trained on; got 'b' in place of 'a', number 0"
    ):
        data_of(run, str(tmp_path / "turned.csv"))


def test_score_with_splits_and_labels(trained: Path, tmp_path: Path) -> None:
    digits = fv.load_data("digits")
    arrays = {name: split.values.numpy() for name, split in digits.splits.items()}
    labels = {f"{name}_labels": split.labels.numpy() for name, split in digits.splits.items()}
    np.savez(tmp_path / "all.npz", **arrays, **labels)
    arguments = ["score", str(trained), "--data", str(tmp_path / "all.npz"), "--set", "data.scale=16", "-k", "2", "-q"]
    assert main([*arguments, "--split", "validation", "-o", str(tmp_path / "p.csv")]) == 0
    lines = (tmp_path / "p.csv").read_text().splitlines()
    assert len(lines) == 181
    assert [int(line.rsplit(",", 1)[1]) for line in lines[1:]] == digits.validation.labels.tolist()


def test_report(trained: Path, command: Command, tmp_path: Path) -> None:
    command("report", trained, "-o", "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "<html" in page
    assert page.count("data:image/png;base64,") >= 4
    assert "http://" not in page.replace("http://www.w3.org", "")
