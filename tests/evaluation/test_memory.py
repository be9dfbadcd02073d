import gc

import pytest
import torch

from flowvae.errors import InputError
from flowvae.evaluation.memory import CPU_PAIRS, Bytes, Footprint, in_words, parse_size, plan


@pytest.mark.parametrize(
    ("size", "expected"),
    [("256MiB", 256 * 2**20), ("1 GiB", 2**30), ("1.5kB", 1500), ("2gb", 2 * 10**9), ("77", 77), (77, 77), ("8B", 8)],
)
def test_sizes(size, expected):
    assert parse_size(size) == expected


@pytest.mark.parametrize("size", ["", "much", "-1MiB", "0", "1XB", "1e3", "MiB", True, None])
def test_what_is_no_size(size):
    with pytest.raises(InputError, match="expected a size of memory such as '256MiB'"):
        parse_size(size)


@pytest.mark.parametrize("size", [1, 1023, 1024, 1025, 3 * 2**20 + 1, 2**40])
def test_a_size_in_words_suffices(size):
    assert size <= parse_size(in_words(size)) < 2 * size + 2


def test_footprint_is_the_peak_of_what_was_made():
    x = torch.ones(1000)  # 4 kB, made outside
    gc.disable()
    try:
        with Footprint() as footprint:
            y = x + 1
            y = y * 2  # two alive
            z = torch.cat([y, y, y])  # and three more, one given up
            z.view(3, 1000).t()  # views are free
            del y, z
            x.exp()
    finally:
        gc.enable()
    assert footprint.peak == 16000


@pytest.mark.parametrize("budget", [2**20, 2**24, 2**28])
@pytest.mark.parametrize(("count", "samples"), [(1, 1), (1, 5000), (7, 300), (10000, 1), (10000, 128), (500, 200)])
@pytest.mark.parametrize("cost", [Bytes(datum=5000, pair=9000), Bytes(datum=100_000, pair=1000)])
def test_plans_keep_to_their_budget(budget, count, samples, cost):
    """Whether a pair costs more, or the features of a datum."""
    made = plan(count, samples, budget, cost, groups=2, on_cpu=True)
    assert made.data * made.draws * cost.pair <= budget // 4
    assert made.data * made.draws <= CPU_PAIRS
    assert made.block * (cost.datum + made.draws * 8) <= budget // 4
    assert 1 <= made.draws <= samples
    assert made.block % made.data == 0


def test_chunks_are_even():
    cost = Bytes(datum=100, pair=100)
    assert plan(500, 200, 2**28, cost, groups=1, on_cpu=True).data == 8
    assert plan(10, 200, 2**28, cost, groups=1, on_cpu=True).data == 5
    assert plan(500, 5000, 2**28, cost, groups=1, on_cpu=True).draws == 1250


def test_a_budget_below_one_pair_is_refused_with_one_that_suffices():
    cost = Bytes(datum=5000, pair=300_000)
    with pytest.raises(InputError, match=r"expected memory of at least .*iB for this model; got 1MiB") as error:
        plan(10, 10, 2**20, cost, groups=1, on_cpu=True)
    least = str(error.value).split("at least ")[1].split()[0]
    made = plan(10, 10, parse_size(least), cost, groups=1, on_cpu=True)
    assert made.draws == made.data == 1
