"""Arrays in memory as data: the same as the file that holds them."""

from pathlib import Path

import numpy as np
import pytest
import torch

import flowvae as fv
from flowvae import InputError
from flowvae.cli import main

X = np.random.RandomState(0).rand(60, 5).astype(np.float32)
IMAGES = np.random.RandomState(1).randint(0, 256, (40, 6, 6, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    "make", [lambda x: x, torch.from_numpy, lambda x: torch.from_numpy(x).double().requires_grad_()]
)
@pytest.mark.parametrize("options", [{}, {"binarise": "dynamic", "seed": 3, "validation": 0.3}])
def test_an_array_is_its_file(make, options: dict, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    found, filed = fv.from_arrays(make(X), **options), fv.load_data(tmp_path / "x.npy", **options)
    assert (found.digest, found.support, found.event_shape) == (filed.digest, filed.support, filed.event_shape)
    assert {name: len(split) for name, split in found.splits.items()} == {k: len(v) for k, v in filed.splits.items()}


def test_images_and_their_splits_and_labels() -> None:
    arrays = {"train": IMAGES[:30], "test": torch.from_numpy(IMAGES[30:])}
    labels = {"train": np.arange(30), "test": torch.arange(10)}
    data = fv.from_arrays(arrays, labels, scale=255, validation=0.2)
    assert (data.event_shape, data.support, data.levels) == ((3, 6, 6), "levels", 256)
    assert [len(split) for split in data.splits.values()] == [24, 6, 10]
    for split, images in ((data.train, IMAGES), (data.validation, IMAGES), (data.test, IMAGES[30:])):
        for values, label in zip(split.values, split.labels, strict=True):
            assert np.array_equal(values, np.moveaxis(images[label], 2, 0))


@pytest.mark.parametrize(
    ("values", "labels", "options", "said"),
    [
        (X[0], None, {}, "expected rows .N, .event. in 'train'; got shape .5,."),
        (X.astype(str), None, {}, "expected real numbers in 'train'; got <U"),
        ("x.npy", None, {}, "expected real numbers in 'train'; got <U5"),
        (np.where(X > 0.99, np.nan, X), None, {}, "expected finite numbers in the arrays; got"),
        (X, np.arange(5), {}, "expected 60 whole numbers in 'train', one a row; got int64 of shape"),
        ({"trian": X}, None, {}, "expected arrays by split; got 'trian'; did you mean 'train'"),
        ({"test": X}, None, {}, "expected an array 'train'; got test: add"),
        (X, None, {"sacle": 2}, "data.sacle: 'arrays' has no such option; did you mean 'scale'"),
        (X * 3, None, {"binarise": "dynamic"}, "expected values in .0, 1. to binarise"),
    ],
)
def test_what_is_no_data_is_refused(values, labels, options: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        fv.from_arrays(values, labels, **options)


@pytest.mark.parametrize("given", [X, torch.from_numpy(X), [1, 2]])
def test_arrays_elsewhere_are_told_where_they_go(given) -> None:
    with pytest.raises(InputError, match="make them of arrays with from_arrays"):
        fv.load_data(given)
    model = fv.build_model({"likelihood": "gaussian"}, (5,))
    with pytest.raises(InputError, match=r"expected a data set; got .*: make one with load_data or from_arrays"):
        fv.fit(model, given, epochs=1)
    if isinstance(given, np.ndarray):
        with pytest.raises(InputError, match="expected a tensor of rows; got ndarray"):
            fv.Split(given)


def test_a_run_on_arrays_is_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It draws, and takes data of files; only its own are gone."""
    data = fv.from_arrays(X, binarise="dynamic")
    fv.fit(fv.build_model({"latents": {"dim": 2}}, data), data, epochs=1, run=tmp_path / "run", quiet=True)
    np.save(tmp_path / "new.npy", X[:7])
    run = str(tmp_path / "run")
    assert main(["sample", run, "-n", "3", "-o", str(tmp_path / "x.npz")]) == 0
    assert main(["score", run, "--data", str(tmp_path / "new.npy"), "-k", "2", "-o", str(tmp_path / "p.csv")]) == 0
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 8
    assert main(["evaluate", run]) == 2
    assert (
        "got arrays, which were in memory when the run was trained: give data by --data FILE" in capsys.readouterr().err
    )
