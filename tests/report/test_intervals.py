from math import isnan, nan

import numpy as np
import pytest
from scipy import stats

from flowvae.report.intervals import Estimate, estimate, paired_difference
from flowvae.report.rendering import number, with_error, with_interval


@pytest.mark.parametrize("count", [2, 3, 7])
def test_interval_is_scipys_paired_t_interval(count: int) -> None:
    first, other = np.random.default_rng(count).normal(85, 1, (2, count))
    found = paired_difference(dict(enumerate(first)), dict(enumerate(other)))
    expected = stats.ttest_rel(other, first)
    interval = expected.confidence_interval(0.95)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-10)
    assert found.mean / found.error == pytest.approx(expected.statistic, rel=1e-10)


def test_pairs_are_made_by_seed_not_by_position() -> None:
    found = paired_difference({2: 10.0, 0: 1.0, 9: 5.0}, {0: 0.0, 2: 8.0, 7: -100.0})
    assert found is not None
    assert (found.mean, found.count) == (-1.5, 2)  # seeds 0 and 2: -1 and -2
    assert found.error == pytest.approx(0.5)


def test_no_shared_seed_and_one_repetition_have_no_interval() -> None:
    assert paired_difference({0: 1.0}, {1: 1.0}) is None
    assert estimate([]) is None
    single = estimate([3.0])
    assert single is not None
    assert single.mean == 3.0
    assert isnan(single.error)
    assert isnan(single.low)


def test_number_formats() -> None:
    assert number(-0.004) == "0.00"
    assert number(float("inf")) == "∞"
    assert with_error(-2.0, 0.0) == "−2.00 (0.00)"
    assert with_error(2.0, nan) == "2.00"
    assert with_error(None, 1.0) == "–"
    assert with_interval(Estimate(0.001, 0.2, -0.4, 0.4, 3)) == "+0.00 (0.20)\n[−0.40, 0.40]"
