"""Architectures of six layers: the file, the split, and what makes one valid."""

from pathlib import Path

import numpy as np
import pytest

from flowvae.data import load_data
from flowvae.data.architectures import BITS, SCHEMA, is_valid, step_of
from flowvae.errors import InputError


def test_the_official_split(shared_data: Path) -> None:
    data = load_data({"name": "architectures", "dir": str(shared_data)})
    assert (len(data.train) + len(data.validation), len(data.test)) == (17_118, 1_902)
    assert (data.event_shape, data.support) == (SCHEMA, "sequence")
    for split in data.splits.values():
        assert split.labels is not None
        assert 0.70 < split.labels.min() < split.labels.max() < 0.7503
        steps = [SCHEMA.steps(datum) for datum in split.values[:200].numpy()]
        assert data.valid is not None
        assert all(map(data.valid, steps))


def test_a_line_is_read_as_the_file_describes_it(shared_data: Path) -> None:
    """The first line that is used, found again in the split wherever the shuffle put it."""
    line = (shared_data / "architectures" / "final_structures6.txt").read_text().splitlines()[1000]
    layers, accuracy = eval(line)
    datum = SCHEMA.values([step_of(layer) for layer in layers])
    data = load_data({"name": "architectures", "dir": str(shared_data)})
    found = []
    for split in data.splits.values():
        assert split.labels is not None
        same = (split.values.numpy() == datum).all((1, 2))
        found += split.labels.numpy()[same].tolist()
    assert np.isclose(found, accuracy).any()


def test_bit_strings_of_all_lengths() -> None:
    assert len(BITS) == len(set(BITS)) == 63
    assert {len(bits) for bits in BITS} == set(range(6))


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("conv3x3 conv5x5:0 conv5x5:10 avgpool3x3:000 conv3x3:0101 maxpool3x3:11111", True),
        ("conv3x3 conv5x5:0 conv5x5:10 avgpool3x3:000 conv3x3:0101", False),
        ("conv3x3:0 conv5x5:0 conv5x5:10 avgpool3x3:000 conv3x3:0101 maxpool3x3:11111", False),
        ("conv3x3 conv5x5:0 conv5x5:1 avgpool3x3:000 conv3x3:0101 maxpool3x3:11111", False),
    ],
)
def test_validity(text: str, valid: bool) -> None:
    values = SCHEMA.parse(text)
    assert SCHEMA.text(values) == text
    assert is_valid(SCHEMA.steps(values)) is valid


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "final_structures6.txt").write_text("[[1]], 0.5\n")
    with pytest.raises(InputError, match=r"with another checksum: check data\.dir"):
        load_data({"name": "architectures", "dir": str(tmp_path)})
