"""What the structure of a model says of itself, and ancestral samples node by node."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from flowvae.distributions import DiagonalNormal
from flowvae.evaluation import ancestral, graph_of
from flowvae.model import VAE, build_model
from tests.laws.catalogue import generic


class Bare(nn.Module):
    """A likelihood whose mean is the latents themselves."""

    def forward(self, c: Tensor) -> DiagonalNormal:
        return DiagonalNormal(c, torch.zeros_like(c))


@pytest.fixture(params=["standard", "mixture", "flow"])
def model(request: pytest.FixtureRequest) -> VAE:
    """Four nodes of one coordinate; 0 -> 2 -> 3, and 1 alone."""
    latents = {"name": "graph", "nodes": 4, "dim": 1, "edges": [(0, 2), (2, 3)], "gates": "open", "root": request.param}
    model = generic(build_model({"latents": latents | {"posterior": {"width": 4}}}, (5,)))
    model.likelihood = Bare()
    return model


def test_held_nodes_stand_and_resampled_nodes_move_their_descendants_alone(model: VAE) -> None:
    rows = ancestral(model, 6, seed=1)
    held, resampled = rows["held"], rows["resampled"]
    assert held.shape == resampled.shape == (4, 6, 4)
    first = held[0, 0]
    for n, descendants in enumerate(({0, 2, 3}, {1}, {2, 3}, {3})):
        still = {m for m in range(4) if np.ptp(held[n, :, m]) == 0}
        assert still == {n}
        assert (held[n, 0] == first).all()
        assert (resampled[n, 0] == first).all()
        moved = {m for m in range(4) if np.ptp(resampled[n, :, m]) > 0}
        assert moved == descendants


def test_samples_are_a_function_of_the_seed(model: VAE) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, again, other = (ancestral(model, 3, seed=seed)["held"] for seed in (1, 1, 2))
    assert (one == again).all()
    assert (one != other).any()
    assert torch.get_rng_state().equal(before)


def test_a_graph_is_told_with_its_kl_and_history() -> None:
    spec = {"latents": {"name": "graph", "nodes": 2, "dim": 1, "order": "reversed", "posterior": {"width": 4}}}
    model = build_model(spec, (5,))
    model.latents.gates.logits.data.fill_(-1.0)
    history = [{"epoch": 1, "gates": [0.5]}, {"epoch": 2}, {"epoch": 3, "gates": [0.3]}]
    found = graph_of(model, [1.5, 2.5], history)
    assert found is not None
    assert found["nodes"] == [{"node": 1, "kl": 1.5}, {"node": 0, "kl": 2.5}]
    (edge,) = found["edges"]
    assert (edge["parent"], edge["child"], edge["stands"]) == (1, 0, False)
    assert edge["mean"] == pytest.approx(float(torch.sigmoid(torch.tensor(-1.0))))
    assert found["open"]
    assert found["history"] == {"epoch": [1, 3], "gates": [[0.5], [0.3]]}
    assert graph_of(build_model({"latents": {"dim": 2}}, (5,))) is None
