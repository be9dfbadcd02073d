import math

import pytest
import torch

from flowvae.evaluation.streaming import LogWeights


@pytest.mark.parametrize("offset", [0.0, -5000.0, 5000.0])
@pytest.mark.parametrize("part", [1, 7, 100])
def test_parts_of_any_size_add_up_to_the_whole(offset, part):
    log_w = offset + 10 * torch.randn(100, 5, dtype=torch.float64)
    weights = LogWeights(5)
    for draws in log_w.split(part):
        weights.add(draws)
    w = torch.softmax(log_w, 0)
    torch.testing.assert_close(weights.log_mean, log_w.logsumexp(0) - math.log(100), rtol=0, atol=1e-9)
    torch.testing.assert_close(weights.mean, log_w.mean(0))
    torch.testing.assert_close(weights.ess, 1 / w.square().sum(0))


def test_effective_sample_size_of_equal_and_of_one_dominant_weight():
    weights = LogWeights(2)
    weights.add(torch.tensor([[3.0, 0.0]]).expand(50, 2))
    weights.add(torch.tensor([[3.0, 800.0]]))
    torch.testing.assert_close(weights.ess, torch.tensor([51.0, 1.0], dtype=torch.float64))


def test_float32_terms_are_summed_in_double():
    # 1e8 + 1 is 1e8 in float32
    weights = LogWeights(1)
    for value in (1e8, 1.0, 1.0, 1.0):
        weights.add(torch.tensor([[value]]))
    assert weights.mean.item() == (1e8 + 3) / 4
