"""The toys are real points of the plane, the same for the same seed, of the parts that they promise."""

import pytest
import torch
from torch import Tensor

from flowvae.data import Data, load_data
from flowvae.errors import InputError

TOYS = {"moons": 2, "rings": 4, "pinwheel": 5}
toys = pytest.mark.parametrize("name", TOYS)


def everything(data: Data) -> Tensor:
    return torch.cat([split.values for split in data.splits.values()])


@toys
def test_they_are_real_points_dealt_to_three_splits(name: str) -> None:
    data = load_data(name, count=1000)
    assert (data.support, data.event_shape) == ("real", (2,))
    assert [len(split) for split in data.splits.values()] == [800, 100, 100]
    assert len(everything(data).unique(dim=0)) == 1000
    assert data.train.labels.bincount().tolist() == pytest.approx([800 / TOYS[name]] * TOYS[name], rel=0.3)


@toys
def test_the_fewest_points_leave_no_split_empty(name: str) -> None:
    assert [len(split) for split in load_data(name, count=10).splits.values()] == [8, 1, 1]
    with pytest.raises(InputError, match=r"^data.count: expected greater than or equal to 10; got 9$"):
        load_data(name, count=9)


@toys
def test_a_seed_says_which_points(name: str) -> None:
    first, again, other = (load_data(name, count=100, seed=seed) for seed in (1, 1, 2))
    assert first.digest == again.digest != other.digest


@toys
def test_every_part_of_a_toy_lies_apart_from_the_others(name: str) -> None:
    """Labels are of what is seen: the next point is nearly always of the same part."""
    train = load_data(name, count=2000).train
    nearest = (torch.cdist(train.values, train.values) + torch.eye(len(train)) * 100).argmin(1)
    assert (train.labels[nearest] == train.labels).float().mean() > 0.97


def test_rings_have_the_radii_that_they_promise() -> None:
    train = load_data("rings", count=4000).train
    radii = torch.stack([train.values[train.labels == ring].norm(dim=1).mean() for ring in range(4)])
    torch.testing.assert_close(radii, torch.tensor([0.75, 1.5, 2.25, 3.0]), rtol=0, atol=0.02)
