"""The one door: names, paths, tables, and what is said about a wrong one."""

from pathlib import Path

import numpy as np
import pytest

from flowvae.data import load_data, resolve_data
from flowvae.errors import InputError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    np.save(tmp_path / "my.npy", np.arange(40).reshape(20, 2))
    return tmp_path / "my.npy"


def test_a_path_a_string_and_a_table_are_the_same(path: Path) -> None:
    forms = [
        load_data(path, scale=255),
        load_data(str(path), scale=255),
        load_data({"name": str(path), "scale": 255}),
        load_data({"name": "file", "path": str(path), "scale": 255}),
    ]
    assert len({data.digest for data in forms}) == 1
    assert all(data.spec == forms[0].spec for data in forms)
    assert forms[0].name == "my.npy"


def test_the_spec_is_full_and_loads_the_same_again(path: Path) -> None:
    data = load_data(path, seed=3)
    assert data.spec == {
        "name": "file",
        "path": str(path),
        "scale": 1.0,
        "binarise": "none",
        "seed": 3,
        "validation": 0.1,
        "dequantise": False,
        "test": 0.1,
    }
    assert load_data(data.spec).digest == data.digest


def test_a_spec_that_is_passed_in_is_left_as_it_was(path: Path) -> None:
    spec = {"name": str(path)}
    load_data(spec, scale=255)
    assert spec == {"name": str(path)}


def test_a_relative_path_is_found(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    assert resolve_data("my.npy")["name"] == "file"
    assert resolve_data(".")["name"] == "folder"


def test_digits_are_binarised_unless_told_otherwise() -> None:
    assert load_data("digits").spec == {"name": "digits", "binarise": "dynamic", "dequantise": False, "seed": 0}
    assert load_data("digits", binarise="none").train.binarise == "none"


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        ("digit", {}, "expected a data set or the path of a file; got 'digit'; did you mean 'digits'?"),
        ("zzz", {}, "got 'zzz'; expected one of .*'digits', .*more: see 'flowvae list data'"),
        ("no/such/place", {}, "expected a file or a folder; got 'no/such/place', which does not exist"),
        ("my.npz", {}, "expected a file or a folder; got 'my.npz', which does not exist: check the path"),
        ("digits", {"binarize": "none"}, "data.binarize: .*did you mean 'binarise'?"),
        ("digits", {"binarise": "always"}, "data.binarise: expected 'dynamic', 'static-seeded', 'threshold' or 'none'"),
        ("digits", {"seed": -1}, "data.seed: expected"),
        ("file", {}, "expected the path of a file or a folder; got none: set data.path"),
        ({}, {}, "data: expected a name"),
    ],
)
def test_mistakes_are_told_with_their_remedy(spec: str, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_data(spec, **options)


def test_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    (tmp_path / "my.mat").touch()
    with pytest.raises(InputError, match=r"expected .npz, .npy, .csv, .tsv or a folder of .png or .jpg; got 'my.mat'"):
        load_data(tmp_path / "my.mat")


def test_scale_is_positive(path: Path) -> None:
    with pytest.raises(InputError, match=r"data.scale: expected .*greater than 0; got 0"):
        load_data(path, scale=0)
