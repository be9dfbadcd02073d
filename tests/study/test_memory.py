"""What the largest study of images keeps in memory, counted on torch's device without memory."""

import pytest
import torch
from torch import Tensor

from flowvae import registry
from flowvae.engine.step import Step
from flowvae.model import build_model
from flowvae.study import Study

GIB = 2**30


@pytest.mark.parametrize("row", ["rungs-20-gaussian", "rungs-20-iaf"])
def test_a_ladder_of_twenty_rungs_fits_into_24_gib(row: str) -> None:
    """Weights, gradients, two moments and an average, and all that a step in single precision keeps for its gradients.

    What a kernel needs on the way is not counted: half of the memory is left for it.
    """
    study = Study.load("cifar-ladder")
    config = study.config(next(one for one in study.rows if one.name == row), 0)
    torch.distributions.Distribution.set_default_validate_args(False)
    kept: dict[int, Tensor] = {}

    def keep(t: Tensor) -> Tensor:
        kept[t.untyped_storage()._cdata] = t
        return t

    with torch.device("meta"):
        model = build_model({part: getattr(config, part) for part in ("encoder", "latents", "likelihood")}, (3, 32, 32))
        step = Step(model, registry.build("objective", config.objective))
        x = torch.empty(config.training["batch_size"], 3, 32, 32)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
            step(x, torch.ones(()))
    weights = sum(parameter.nbytes for parameter in model.parameters())
    for_gradients = sum(t.untyped_storage().nbytes() for t in kept.values())
    assert len(x) == 32
    assert weights > 0.1 * GIB
    assert for_gradients > 0.5 * GIB
    assert 5 * weights + for_gradients < 12 * GIB
