"""What is said about a file before training, and about data that a likelihood cannot take."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flowvae import registry
from flowvae.data import inspect, load_data, require_support, resolve_data
from flowvae.data.readers import TEXTS
from flowvae.engine import fit
from flowvae.errors import InputError
from flowvae.model import build_model
from flowvae.registry import components

GAUSSIAN = "gaussian with --set likelihood.name=gaussian --set data.binarise=none: values are real"


def save(tmp_path: Path, values: np.ndarray) -> Path:
    np.save(tmp_path / "my.npy", values)
    return tmp_path / "my.npy"


def test_shape_type_and_range_are_those_of_the_file(tmp_path: Path) -> None:
    found = inspect(save(tmp_path, np.array([[0, 300], [7, -5], [1, 2]], dtype=np.int16)))
    assert found.shapes == {"train": (3, 2)}
    assert (found.dtype, found.minimum, found.maximum, found.whole) == ("int16", -5, 300, True)
    assert (found.missing, found.duplicates, found.labels) == (0, 0, False)


def test_missing_values_are_counted_and_kept_out_of_the_range(tmp_path: Path) -> None:
    values = np.linspace(0, 1, 30).reshape(10, 3)
    values[4, 0] = values[4, 2] = np.nan
    values[8, 1] = -np.inf
    found = inspect(save(tmp_path, values))
    assert (found.missing, found.missing_rows, found.first_missing) == (3, 2, "row 4")
    assert (found.minimum, found.maximum) == (0, 1)
    assert "not finite  3 values in 2 rows, the first in row 4" in found.lines()


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (
            {"x": [[0, np.inf], [1, 0], [0, 1], [1, 1]]},
            "training    would refuse it: values are not finite: fill them in",
        ),
        (
            {"train": np.eye(4), "test": np.eye(3)},
            "training    would refuse it: expected one event shape; got train (4,), test",
        ),
        (
            {"x": np.eye(2)},
            "training    would refuse it: expected rows to train on; got 2 rows, 1 for validation and 1",
        ),
        ({"train": np.eye(4), "test": np.eye(4)}, None),
    ],
)
def test_the_last_line_tells_what_training_refuses(tmp_path: Path, parts: dict[str, Any], said: str | None) -> None:
    np.savez(tmp_path / "my.npz", **parts)
    found = inspect(tmp_path / "my.npz")
    if said is None:
        load_data(tmp_path / "my.npz")
        assert found.lines()[-1].startswith("likelihood")
        return
    assert found.lines()[-1].startswith(said)
    with pytest.raises(InputError):
        load_data(tmp_path / "my.npz")


def test_a_file_of_nothing_but_nan_is_described(tmp_path: Path) -> None:
    found = inspect(save(tmp_path, np.full((3, 2), np.nan)))
    assert (found.likelihood, found.missing, found.duplicates) == (None, 6, 2)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["minimum"] is None


def test_duplicates_are_counted_within_and_between_parts(tmp_path: Path) -> None:
    train, test = np.eye(6)[[0, 1, 1, 1, 2]], np.eye(6)[[2, 3, 3]]
    np.savez(tmp_path / "my.npz", train=train, test=test, train_labels=np.arange(5))
    found = inspect(tmp_path / "my.npz")
    assert (found.duplicates, found.shared) == (4, 1)
    assert found.labels
    assert "duplicates  4 rows repeat an earlier one, 1 of them one of another part" in found.lines()
    assert "shape       train (5, 6), test (3, 6), with labels" in found.lines()


@pytest.mark.parametrize(
    ("values", "likelihood", "scale", "words"),
    [
        ([[0, 1], [1, 1]], "bernoulli", 1, "bernoulli: values are bits"),
        ([[0, 0.25], [0.5, 1]], "bernoulli", 1, "bernoulli with --set data.binarise=dynamic draws bits with them"),
        ([[0, 255], [17, 1]], "discretised_logistic", 255, "none --set data.scale=255: values are bytes"),
        ([[0, 255], [255, 0]], "bernoulli", 255, "bernoulli with --set data.scale=255: values are bits"),
        ([[0, 2], [2, 2]], "bernoulli", 2, "bernoulli with --set data.scale=2: values are bits"),
        ([[0, 0.3], [0.3, 0]], "bernoulli", 0.3, "bernoulli with --set data.scale=0.3: values are bits"),
        ([[0, 1000], [1000, 0]], "bernoulli", 1000, "bernoulli with --set data.scale=1000: values are bits"),
        ([[0, 0], [0, 0]], "bernoulli", 1, "bernoulli: values are bits"),
        ([[0, 201], [17, 1]], "discretised_logistic", 255, "; bernoulli with --set data.scale=255 --set data.binarise"),
        ([[0, 16], [8, 1]], "discretised_logistic", 16, "none --set data.scale=16 --set likelihood.levels=17: values"),
    ],
)
def test_the_recommendation_trains(tmp_path: Path, values: list, likelihood: str, scale: float, words: str) -> None:
    path = save(tmp_path, np.array(values * 5))
    found = inspect(path)
    assert (found.likelihood, found.scale) == (likelihood, scale)
    assert words in found.advice
    first, *others = found.advice.split("; ")
    assert [f"likelihood  {first}", *(f"            or {other}" for other in others)] == found.lines()[6:]
    accepts = registry.component("likelihood", likelihood).accepts
    levels = re.search(r"levels=(\d+)", found.advice)
    require_support(load_data(path, scale=found.scale), likelihood, accepts, int(levels[1]) if levels else None)


@pytest.mark.parametrize(
    ("values", "remedy"),
    [
        ([[-1.5, 2.5]], "rescale the file by (x - min) / (max - min)"),
        ([[0.0, 37.21234, 1.5]], "use --set data.scale=37.22"),
        ([[0, 4095, 7]], "use --set data.scale=4095"),
    ],
)
def test_real_values_want_a_density_of_them(tmp_path: Path, values: list, remedy: str, no_real: None) -> None:
    path = save(tmp_path, np.array(values * 5))
    found = inspect(path)
    assert found.likelihood is None
    assert found.advice == f"none fits: values are real, as a Gaussian has them; for bernoulli {remedy}"
    if "scale=" in remedy:
        assert load_data(path, scale=float(remedy.partition("scale=")[2])).support == "unit"


def test_a_normal_density_comes_before_a_flow(tmp_path: Path) -> None:
    assert inspect(save(tmp_path, np.array([[-1.5, 2.5]] * 5))).advice == GAUSSIAN


@pytest.fixture
def no_real(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry whose only likelihood is that of bits."""
    bernoulli = registry.component("likelihood", "bernoulli")
    monkeypatch.setitem(components._components, "likelihood", {"bernoulli": bernoulli})


@pytest.fixture
def gaussian(monkeypatch: pytest.MonkeyPatch, no_real: None) -> None:
    """A registry with one likelihood of real values, as a later file would bring it."""
    monkeypatch.setitem(components._components, "likelihood", dict(components._components["likelihood"]))

    @registry.register("likelihood", "gaussian")
    class Gaussian:
        accepts = ("unit", "real")


def test_a_likelihood_of_real_values_is_recommended_once_there_is_one(tmp_path: Path, gaussian: None) -> None:
    found = inspect(save(tmp_path, np.array([[-1.5, 2.5]] * 5)))
    assert (found.likelihood, found.advice) == ("gaussian", GAUSSIAN)


def test_a_folder_has_its_own_scale(tmp_path: Path) -> None:
    for place in range(3):
        Image.fromarray(np.full((4, 4), 50 * place, dtype=np.uint8)).save(tmp_path / f"{place}.png")
    found = inspect(tmp_path)
    assert (found.likelihood, found.scale) == ("discretised_logistic", 255)
    assert "--set data.scale" not in found.advice


def test_a_folder_of_masks_of_0_and_1_needs_another_scale(tmp_path: Path) -> None:
    for place in range(3):
        Image.fromarray(np.eye(4, dtype=np.uint8)).save(tmp_path / f"{place}.png")
    found = inspect(tmp_path)
    assert (found.scale, found.advice) == (1, "bernoulli with --set data.scale=1: values are bits")
    assert load_data(tmp_path, scale=found.scale).support == "binary"


@pytest.mark.parametrize("ending", TEXTS)
def test_a_text_is_told_from_numbers_by_its_ending(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"a{ending}").write_text("one two\n" * 3)
    assert resolve_data(tmp_path / f"a{ending}")["name"] == "tokens"
    with pytest.raises(InputError, match=f"expected numbers; got the text 'a{ending}': .* the recipe 'tokens'"):
        inspect(tmp_path / f"a{ending}")


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a file or a folder; got 'nowhere.npz', which does not exist"):
        inspect("nowhere.npz")
    with pytest.raises(InputError, match="expected a file or a folder; got an empty name"):
        inspect("")


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([[0, 255]], {}, r"^expected values in \[0, 1\] for 'bernoulli'; got \[0, 255\]: use --set data.scale=255$"),
        ([[0, 255]], {"scale": 16}, r"got \[0, 15.9375\]: use --set data.scale=255$"),
        ([[-1.0, 1.0]], {}, r"got \[-1, 1\]: rescale the file by \(x - min\) / \(max - min\)$"),
        ([[0.5, 3.0]], {}, r"got \[0.5, 3\]: use --set data.scale=3$"),
    ],
)
def test_data_that_contradict_the_likelihood_are_refused(
    tmp_path: Path, values: list, options: dict, message: str, no_real: None
) -> None:
    data = load_data(save(tmp_path, np.array(values * 5)), **options)
    with pytest.raises(InputError, match=message):
        require_support(data, "bernoulli", ("binary", "unit"))


def test_another_likelihood_is_a_remedy_too(tmp_path: Path, gaussian: None) -> None:
    data = load_data(save(tmp_path, np.array([[0, 30.5]] * 5)))
    with pytest.raises(InputError, match=r"use --set data.scale=30.5 or use --set likelihood.name=gaussian"):
        require_support(data, "bernoulli", ("binary", "unit"))
    data = load_data(save(tmp_path, np.array([[0, 255]] * 5)))  # bytes: their density as they are would be none
    with pytest.raises(InputError, match=r"use --set data.scale=255$"):
        require_support(data, "bernoulli", ("binary", "unit"))


def test_the_number_of_levels_is_that_of_the_data() -> None:
    digits = load_data("digits", binarise="none")
    assert (digits.support, digits.levels) == ("levels", 17)
    message = r"expected data of 256 levels for 'logistic'; got 17: use --set likelihood.levels=17"
    with pytest.raises(InputError, match=message):
        require_support(digits, "logistic", ("levels",), 256)
    require_support(digits, "logistic", ("levels",), 17)


def test_bits_are_no_levels(no_real: None) -> None:
    with pytest.raises(InputError, match=r"expected whole numbers .* for 'logistic'; got bits"):
        require_support(load_data("digits"), "logistic", ("levels",), 17)


def test_bits_are_no_real_values(no_real: None) -> None:
    message = "expected real values for 'gaussian'; got bits .data.binarise=dynamic.: use --set data.binarise=none"
    with pytest.raises(InputError, match=message):
        require_support(load_data("digits"), "gaussian", ("real",))


def test_bits_are_no_sequences_and_bytes_are_none_either(no_real: None) -> None:
    """So that to leave pixels as they are is no remedy."""
    with pytest.raises(InputError, match=r"got bits \(data.binarise=dynamic\): (?!.*data.binarise=none)"):
        require_support(load_data("digits"), "sequence", ("sequence",))


def test_grey_values_are_no_bits(no_real: None) -> None:
    with pytest.raises(InputError, match=r"expected bits for 'ising'; got \[0, 1\]: use --set data.binarise=dynamic"):
        require_support(load_data("digits", binarise="none"), "ising", ("binary",))


@pytest.mark.parametrize("binarise", ["dynamic", "static-seeded", "threshold", "none"])
def test_digits_suit_the_bernoulli_likelihood(binarise: str) -> None:
    require_support(load_data("digits", binarise=binarise), "bernoulli", ("binary", "unit"))


@pytest.mark.parametrize(("second", "told"), [(50.0, False), (1e4, True)])
def test_columns_of_unlike_scales_are_told(second: float, told: bool, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(200, 3)) * [1.0, second, 0.0]
    np.save(tmp_path / "x.npy", values)
    found = inspect(tmp_path / "x.npy")
    line = [line for line in found.lines() if line.startswith("scales ")]
    assert len(line) == told
    data = load_data(tmp_path / "x.npy")
    model = build_model({"latents": {"dim": 2}, "likelihood": "gaussian"}, data)
    said = [record.get("message", "") for record in fit(model, data, epochs=1, quiet=True).history]
    assert any("standardise them, (x - mean) / sd, beforehand" in message for message in said) == told
