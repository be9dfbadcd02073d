import pytest
import torch
from torch import nn

from flowvae.engine.ema import Average


def test_equals_the_recursion_by_hand():
    net = nn.Linear(1, 1, bias=False)
    net.weight.data.fill_(1.0)
    average, expected = Average(net, 0.3), 1.0
    for update in range(8):
        net.weight.data.fill_(float(update * update))
        average.update()
        decay = min(0.3, (1 + update) / (10 + update))
        expected = decay * expected + (1 - decay) * update * update
    assert average.values["weight"].item() == pytest.approx(expected, rel=1e-6)


def test_applied_inside_the_block_only_and_exactly_undone():
    net = nn.Linear(2, 2)
    average = Average(net, 0.9)
    net.weight.data.add_(torch.randn(2, 2))
    own = net.weight.detach().clone()
    with average.applied():
        assert not net.weight.equal(own)
        assert net.weight.equal(average.values["weight"])
    assert net.weight.equal(own)


def test_resumes_from_its_state():
    net = nn.Linear(2, 2)
    average = Average(net, 0.9)
    net.weight.data.add_(1)
    average.update()
    other = Average(net, 0.9)
    other.load_state_dict(average.state_dict())
    for each in (average, other):
        each.update()
    assert other.updates == 2
    assert other.values["weight"].equal(average.values["weight"])
    assert other.values["weight"] is not average.values["weight"]
