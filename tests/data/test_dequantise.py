"""Whole numbers spread by uniform noise."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from flowvae import InputError, build_model, evaluate, load_data


def test_noise_keeps_every_value_in_its_cell_and_is_afresh_in_every_batch() -> None:
    digits, spread = load_data("digits", binarise="none"), load_data("digits", binarise="none", dequantise=True)
    assert (spread.support, spread.train.cells, spread.levels) == ("unit", 17, None)
    rows = torch.arange(len(digits.train))
    first, second = spread.train.batch(rows), spread.train.batch(rows)
    noise = 17 * first - digits.train.values
    assert -1e-5 < noise.min() < 0.001 < 0.999 < noise.max() < 1 + 1e-5
    assert noise.mean() == pytest.approx(0.5, abs=0.01)
    assert not torch.equal(first, second)
    assert torch.allclose(spread.mean, first.mean(0), atol=5 * 0.3 / 17 / len(rows) ** 0.5)


def test_frozen_noise_is_a_function_of_the_seed() -> None:
    test = load_data("digits", binarise="none", dequantise=True).test
    rows = torch.arange(20)
    frozen = test.frozen(3)
    assert torch.equal(frozen.batch(rows), frozen.batch(rows))
    assert torch.equal(frozen.batch(rows), test.frozen(3).frozen(5).batch(rows))
    assert not torch.equal(frozen.batch(rows), test.frozen(4).batch(rows))
    assert torch.equal((17 * frozen.batch(rows)).floor(), test.values[rows].float())


def test_a_density_of_spread_levels_has_bits() -> None:
    """The uniform density on [0, 1] costs log2 L bits a dimension: no more and no less than not knowing anything."""
    spread = load_data("digits", binarise="none", dequantise=True)
    tables = {"latents": {"dim": 2}, "likelihood": {"name": "continuous_bernoulli", "decoder": {"width": 4}}}
    model = build_model(tables, spread)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()  # logits 0 everywhere, and q = p
    assert evaluate(model, spread.test.take(30), samples=3).bits_per_dim == pytest.approx(math.log2(17), abs=1e-5)


def test_a_cross_entropy_of_spread_levels_has_none() -> None:
    spread = load_data("digits", binarise="none", dequantise=True)
    model = build_model({"latents": {"dim": 2}, "likelihood": {"decoder": {"width": 4}}}, spread)
    assert evaluate(model, spread.test.take(3), samples=2).bits_per_dim is None


def test_whole_numbers_of_ones_own_are_spread_too(tmp_path: Path) -> None:
    values = np.arange(256, dtype=np.uint8).repeat(2).reshape(128, 4)
    np.save(tmp_path / "own.npy", values)
    spread = load_data(tmp_path / "own.npy", scale=255.0, dequantise=True)
    for split in spread.splits.values():
        assert split.cells == 256
        x = split.batch(torch.arange(len(split)))
        assert torch.equal((256 * x).floor(), split.values.float())
    with pytest.raises(InputError, match=r"expected whole numbers to spread by noise; got real values"):
        load_data(tmp_path / "own.npy", dequantise=True)


def test_what_is_no_whole_number_is_not_spread() -> None:
    with pytest.raises(InputError, match=r"expected whole numbers to spread by noise; got binary values"):
        load_data("digits", dequantise=True)
