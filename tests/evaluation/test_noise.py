import pytest
import torch

from flowvae.evaluation.noise import BLOCK, DatumNoise

SAMPLES = 2 * BLOCK + 30


@pytest.fixture
def noise() -> DatumNoise:
    return DatumNoise(seed=3, samples=SAMPLES, device="cpu")


@pytest.mark.parametrize(
    "draws", [range(1), range(5, 70), range(BLOCK), range(BLOCK - 1, 2 * BLOCK + 2), range(SAMPLES)]
)
@pytest.mark.parametrize("rows", [range(1), range(2, 4)])
def test_any_cut_holds_the_numbers_of_the_whole(noise, draws, rows):
    whole = noise(1, range(4), range(SAMPLES), (2, 3))
    assert whole.is_contiguous()
    cut = noise(1, rows, draws, (2, 3))
    assert torch.equal(cut, whole[draws.start : draws.stop, rows.start : rows.stop])


def test_numbers_are_independent_standard_normals(noise):
    several = [
        noise(0, range(20), range(SAMPLES), (4,)),
        noise(1, range(20), range(SAMPLES), (4,)),
        DatumNoise(4, SAMPLES, "cpu")(0, range(20), range(SAMPLES), (4,)),
    ]
    streams = torch.cat([eps.movedim(0, -1).reshape(-1, SAMPLES) for eps in several])
    count = streams.numel()
    assert abs(streams.mean()) < 4 / count**0.5
    assert abs(streams.var() - 1) < 4 * (2 / count) ** 0.5
    # of every pair of streams (datum, group, coordinate, seed), and of every pair of blocks of one
    assert (torch.corrcoef(streams) - torch.eye(len(streams))).abs().max() < 6 / SAMPLES**0.5
    blocks = streams[:, : 2 * BLOCK].reshape(-1, 2, BLOCK)
    assert abs((blocks[:, 0] * blocks[:, 1]).mean()) < 4 / (count / 2) ** 0.5


def test_the_order_of_calls_does_not_matter(noise):
    first = noise(0, range(2), range(10), (3,))
    noise(0, range(5, 9), range(10), (3,))
    assert torch.equal(noise(0, range(2), range(10), (3,)), first)
