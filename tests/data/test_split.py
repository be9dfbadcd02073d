"""Splits: exact probabilities, bits that do not depend on how they are read."""

import pytest
import torch

from flowvae.data import Split
from flowvae.errors import InputError

LEVELS = torch.tensor([0, 1, 51, 128, 254, 255], dtype=torch.uint8)


def levels(rows: int, binarise: str) -> Split:
    return Split(LEVELS.repeat(rows, 1), scale=255, binarise=binarise)


@pytest.mark.parametrize("kind", ["dynamic", "frozen"])
def test_bits_have_the_probabilities_of_the_intensities(kind: str) -> None:
    n = 40_000
    split = levels(n, "dynamic")
    bits = (split.frozen(seed=3) if kind == "frozen" else split).batch(torch.arange(n))
    assert bits.dtype == torch.float32
    assert set(bits.unique().tolist()) == {0.0, 1.0}
    p = LEVELS.double() / 255
    standard_error = (p * (1 - p) / n).sqrt()
    assert ((bits.double().mean(0) - p).abs() <= 4 * standard_error).all()  # intensities 0 and 255: exactly


def test_bits_of_neighbours_are_independent() -> None:
    n = 40_000
    split = Split(torch.full((n, 2), 128, dtype=torch.uint8), scale=256, binarise="dynamic")
    bits = split.batch(torch.arange(n)) - 0.5
    assert (4 * (bits[:, 0] * bits[:, 1]).mean()).abs() < 4 / n**0.5


def test_dynamic_draws_anew_and_follows_the_seed() -> None:
    split = levels(100, "dynamic")
    torch.manual_seed(1)
    first, second = split.batch(torch.arange(100)), split.batch(torch.arange(100))
    torch.manual_seed(1)
    assert not torch.equal(first, second)
    assert torch.equal(first, split.batch(torch.arange(100)))


def test_threshold_takes_more_than_one_half() -> None:
    split = Split(torch.tensor([[7, 8, 9]], dtype=torch.uint8), scale=16, binarise="threshold")
    assert split.batch(torch.tensor([0])).tolist() == [[0.0, 0.0, 1.0]]
    assert split.frozen(0).values.tolist() == [[0, 0, 1]]


def test_none_divides_and_leaves_the_data_alone() -> None:
    values = torch.tensor([[0.0, 5.0], [10.0, 2.5]])
    split = Split(values, scale=10)
    assert split.batch(torch.tensor([1, 0])).tolist() == [[1.0, 0.25], [0.0, 0.5]]
    assert values.tolist() == [[0.0, 5.0], [10.0, 2.5]]
    assert Split(values).batch(torch.tensor([0])).data_ptr() != values.data_ptr()


def test_frozen_is_the_same_for_every_batch_size(monkeypatch: pytest.MonkeyPatch) -> None:
    split = Split(torch.randint(0, 256, (1000, 1, 4, 5), dtype=torch.uint8), scale=255, binarise="dynamic")
    frozen = split.frozen(seed=7)
    assert frozen.values.dtype == torch.uint8
    assert frozen.binarise == "none"
    whole = frozen.batch(torch.arange(1000))
    for size in (1, 7, 128, 999):
        assert torch.equal(torch.cat([frozen.batch(i) for i in torch.arange(1000).split(size)]), whole)
    monkeypatch.setattr("flowvae.data.base.BLOCK", 13)  # nor does the block in which bits are drawn matter
    torch.manual_seed(99)  # nor torch's generator
    assert torch.equal(split.frozen(seed=7).values, frozen.values)
    assert torch.equal(split.take(300).frozen(seed=7).values, frozen.values[:300])
    assert not torch.equal(split.frozen(seed=8).values, frozen.values)


def test_frozen_bits_are_those_of_earlier_releases() -> None:
    split = Split(torch.full((2, 8), 8, dtype=torch.uint8), scale=16, binarise="dynamic")
    assert split.frozen(seed=0).values.tolist() == [[1, 1, 1, 0, 1, 0, 0, 0], [0, 0, 0, 1, 1, 0, 0, 1]]


def test_freezing_twice_changes_nothing_more() -> None:
    frozen = levels(10, "dynamic").frozen(0)
    assert torch.equal(frozen.frozen(1).values, frozen.values)


def test_labels_go_with_their_rows() -> None:
    split = Split(torch.zeros(5, 2), labels=torch.arange(5))
    taken = split.take(3).to("cpu")
    assert len(taken) == 3
    assert taken.labels is not None
    assert taken.labels.tolist() == [0, 1, 2]
    frozen = Split(torch.zeros(5, 2), binarise="dynamic", labels=torch.arange(5)).frozen(0)
    assert frozen.labels is not None
    assert frozen.labels.tolist() == [0, 1, 2, 3, 4]
    assert len(split.take(100)) == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"values": torch.zeros(0, 3)}, r"expected rows that are not empty; got shape \(0, 3\)"),
        ({"values": torch.zeros(3)}, r"expected values \(N, \*event\) of uint8 or float32; got \(3,\)"),
        ({"values": torch.zeros(3, 2, dtype=torch.float64)}, "got .* torch.float64: reshape or convert"),
        ({"values": torch.zeros(3, 2), "labels": torch.zeros(2)}, "expected 3 labels, one a row; got 2"),
        ({"values": torch.full((1, 1), 0.5), "binarise": "static-seeded"}, r"draw them with frozen\(seed\)"),
    ],
)
def test_impossible_splits_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Split(**arguments)


def test_no_rows_cannot_be_taken() -> None:
    with pytest.raises(InputError, match=r"expected at least one row; got 0"):
        levels(3, "none").take(0)
