"""Walks between two data, whatever the structure of the latents."""

from typing import Any

import pytest
import torch
from torch.testing import assert_close

from flowvae import InputError, build_model
from flowvae.data import Split
from flowvae.distributions.base import typical
from flowvae.evaluation import encode
from flowvae.evaluation.walk import interpolate
from flowvae.latents import FromPrior, Held

SMALL = {"width": 8, "depth": 1}
FLAT: dict[str, Any] = {"encoder": SMALL, "latents": {"dim": 2}}
GRAPH: dict[str, Any] = {"encoder": SMALL, "latents": {"name": "graph", "nodes": 3, "dim": 2, "gates": "relaxed"}}
LADDER: dict[str, Any] = {
    "encoder": {"name": "bottom_up", "width": 4, "depths": [1, 1]},
    "latents": {"name": "ladder", "dim": 2, "width": 4, "context": 2},
    "likelihood": {"name": "bernoulli", "decoder": {"name": "upsample"}},
}


@pytest.mark.parametrize(("spec", "groups"), [(FLAT, 1), (GRAPH, 3), (LADDER, 2)], ids=["flat", "graph", "ladder"])
def test_a_walk_begins_and_ends_at_the_posterior_means_and_goes_straight(spec: dict[str, Any], groups: int) -> None:
    torch.manual_seed(0)
    model, ends = build_model(spec, (1, 8, 8)), Split(torch.rand(2, 1, 8, 8))
    found = interpolate(model, ends, 5, seed=3, show=typical)
    assert found.shape == (5, 1, 8, 8)
    means = [torch.from_numpy(mean) for name, mean in encode(model, ends, seed=3).items() if name.startswith("mean")]
    assert len(means) == groups
    for i, share in ((0, 0.0), (2, 0.5), (4, 1.0)):
        zs = {n: ((1 - share) * mean[0] + share * mean[1])[None] for n, mean in enumerate(means)}
        with torch.no_grad():
            c, _ = model.eval().latents.walk(Held(zs, FromPrior()), None, torch.Size((1,)))
            assert_close(found[i], typical(model.likelihood(c))[0], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(found[0], found[-1])


def test_without_latents_there_is_no_way() -> None:
    model = build_model({"latents": "none", "likelihood": {"name": "flow", "flow": "planar"}}, (2,))
    with pytest.raises(InputError, match="got a model without"):
        interpolate(model, Split(torch.rand(2, 2)), 3, show=typical)
