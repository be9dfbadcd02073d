"""The grammar of networks: what it draws is valid, what breaks it is not, and a seed says it all."""

import pytest
import torch

from flowvae.data import load_data
from flowvae.data.grammar import is_valid
from flowvae.errors import InputError
from flowvae.schema import Schema


@pytest.mark.parametrize("features", ["continuous", "discrete"])
def test_what_is_drawn_is_valid_and_repeatable(features: str) -> None:
    data = load_data("grammar", count=600, features=features)
    schema = data.event_shape
    assert isinstance(schema, Schema)
    assert data.valid is not None
    types = set()
    for split in data.splits.values():
        for datum in split.values.numpy():
            steps = schema.steps(datum)
            assert data.valid(steps)
            types |= {name for name, _ in steps}
    assert types == {"conv", "linear", "dropout", "pool", "flatten"}
    again, other = load_data("grammar", count=600, features=features), load_data("grammar", count=600, seed=1)
    assert again.digest == data.digest != other.digest
    assert not torch.equal(data.train.values[:100].float(), other.train.values[:100])


def test_the_longest_network_has_a_place_for_every_layer() -> None:
    """One in some ten thousand is drawn so, as are some of the default count."""
    block, hidden = [("conv", "8"), ("dropout", "0.5"), ("pool", None)], [("linear", "8"), ("dropout", "0.5")]
    longest = [*block * 3, ("flatten", None), *hidden * 3, ("linear", "8")]
    schema = load_data("grammar", count=30).event_shape
    assert is_valid(longest)
    assert isinstance(schema, Schema)
    assert len(schema.steps(schema.values(longest))) == len(longest) == schema[0]


def test_sizes_are_log_normal_on_the_normalised_scale() -> None:
    data = load_data("grammar", count=2000)
    for number in (1, 2):  # conv and linear
        held = torch.cat([split.values[split.values[..., 0] == number][:, 1] for split in data.splits.values()])
        assert abs(held.mean()) < 0.01
        assert abs(held.std() - 1) < 0.01


@pytest.mark.parametrize("kind", ["unit", "continuous-bernoulli"])
def test_rates_have_the_density_that_is_asked_for(kind: str) -> None:
    schema = load_data("grammar", count=30, rates=kind).event_shape
    assert isinstance(schema, Schema)
    assert {entry.name: entry.feature and entry.feature.kind for entry in schema.types}["dropout"] == kind
    assert schema.text(schema.parse("linear:8 dropout:0.25 linear:4")) == "linear:8 dropout:0.25 linear:4"
    with pytest.raises(InputError, match=r"between 0 and 1; got 1\.5"):
        schema.parse("linear:8 dropout:1.5 linear:4")


@pytest.mark.parametrize(
    ("names", "valid"),
    [
        ("linear", True),
        ("linear dropout linear dropout linear linear", True),
        ("conv pool conv dropout pool flatten linear linear", True),
        ("", False),
        ("conv flatten", False),
        ("flatten linear", False),
        ("conv linear", False),
        ("linear dropout", False),
        ("linear dropout dropout linear", False),
        ("conv pool dropout flatten linear", False),
        ("pool flatten linear", False),
        ("dropout linear", False),
        ("conv flatten linear flatten linear", False),
        ("conv conv conv conv flatten linear", False),
        ("linear linear linear linear linear", False),
        ("linear conv flatten linear", False),
    ],
)
def test_validity(names: str, valid: bool) -> None:
    assert is_valid([(name, None) for name in names.split()]) is valid


@pytest.mark.parametrize(
    ("channels", "units", "valid"),
    [((8, 8, 64), (64, 64, 4), True), ((64, 8), (10,), False), ((8,), (4, 900), False), ((0,), (10,), False)],
)
def test_sizes_are_part_of_validity(channels: tuple[int, ...], units: tuple[int, ...], valid: bool) -> None:
    image, dense = [("conv", str(size)) for size in channels], [("linear", str(size)) for size in units]
    assert is_valid([*image, ("flatten", None), *dense]) is valid
