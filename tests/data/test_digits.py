"""The digits in the package: what scikit-learn ships, always dealt in the same way."""

import pytest
import torch
from sklearn import datasets

from flowvae.data import Data, load_data

SIZES = {"train": 1257, "validation": 180, "test": 360}


@pytest.fixture(scope="module")
def digits() -> Data:
    return load_data("digits")


def rows(data: Data) -> dict[str, list[bytes]]:
    return {name: [row.numpy().tobytes() for row in split.values] for name, split in data.splits.items()}


def test_all_digits_of_scikit_learn_are_there_once(digits: Data) -> None:
    source = datasets.load_digits()
    expected = {
        row.astype("uint8").tobytes(): int(label) for row, label in zip(source.data, source.target, strict=True)
    }
    got = {}
    for split in digits.splits.values():
        assert split.labels is not None
        got |= {row.numpy().tobytes(): int(label) for row, label in zip(split.values, split.labels, strict=True)}
    assert len(got) == 1797
    assert got == expected


def test_splits_are_disjoint_and_of_the_promised_sizes(digits: Data) -> None:
    held = rows(digits)
    assert {name: len(split) for name, split in held.items()} == SIZES
    assert len(set().union(*held.values())) == 1797


def test_every_class_has_its_share_of_every_split(digits: Data) -> None:
    counts = {}
    for name, split in digits.splits.items():
        assert split.labels is not None
        counts[name] = torch.bincount(split.labels, minlength=10)
    total = sum(counts.values())
    for name, size in SIZES.items():
        assert (counts[name] - total * size / 1797).abs().max() < 2


def test_rows_are_shuffled_within_their_class(digits: Data) -> None:
    """The file goes writer by writer: no split may be made of the first or the last ones."""
    assert digits.test.labels is not None
    everything = {row: place for place, row in enumerate(file_order())}
    places = torch.tensor([everything[row] for row in rows(digits)["test"]], dtype=torch.float64) / 1797
    assert abs(places.mean() - 0.5) < 4 * (1 / 12 / 360) ** 0.5
    assert (places.diff() > 0).all()


def file_order() -> list[bytes]:
    return [row.astype("uint8").tobytes() for row in datasets.load_digits().data]


def test_values_are_bytes_from_0_to_16_and_batches_bits(digits: Data) -> None:
    assert digits.event_shape == (1, 8, 8)
    assert digits.train.values.dtype == torch.uint8
    assert (int(digits.train.values.min()), int(digits.train.values.max())) == (0, 16)
    assert digits.support == "binary"
    x = digits.train.batch(torch.arange(1257))
    p = digits.train.values.double() / 16
    standard_error = (p * (1 - p)).sum().sqrt()
    assert (x.double() - p).sum().abs() < 4 * standard_error


def test_the_split_is_that_of_earlier_releases(digits: Data) -> None:
    assert digits.digest == "9b4fe9756d7b6a17c3df0adade123bb460d933bc1d10fca2ce57fb8a61bcd531"


@pytest.mark.parametrize(
    ("binarise", "support"), [("none", "levels"), ("threshold", "binary"), ("static-seeded", "binary")]
)
def test_other_binarisations(binarise: str, support: str) -> None:
    data = load_data("digits", binarise=binarise)
    assert data.support == support
    assert data.train.binarise == binarise
    once, again = data.train.batch(torch.arange(50)), data.train.batch(torch.arange(50))
    assert torch.equal(once, again)
    assert (set(once.unique().tolist()) == {0.0, 1.0}) == (support == "binary")


def test_static_bits_follow_the_seed_and_differ_between_splits() -> None:
    one, same, other = (load_data("digits", binarise="static-seeded", seed=seed) for seed in (1, 1, 2))
    assert one.digest == same.digest != other.digest
    grey = load_data("digits")
    half = (grey.train.values[:360] == 8) & (grey.test.values == 8)  # the same probability: shared noise would agree
    agree = (one.train.values[:360][half] == one.test.values[half]).double()
    assert abs(agree.mean() - 0.5) < 4 * 0.5 / half.sum() ** 0.5
