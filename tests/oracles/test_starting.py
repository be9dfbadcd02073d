"""Parameters that start from data: once, from the first batch, in the order that data pass, and never again."""

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from flowvae import build_model, fit, registry
from flowvae.data import load_data
from flowvae.engine.folder import Folder
from flowvae.engine.weights import load_weights
from flowvae.flows import Flow
from flowvae.nn import starting, unstarted
from flowvae.transforms import Composed, Inverse

DIM = 4
GLOW = {"name": "realnvp", "steps": 2, "width": 8, "actnorm": True, "mixing": True}


def batch(n: int = 500) -> Tensor:
    return 3 + 10 * torch.randn(n, DIM, dtype=torch.float64) * torch.tensor([0.1, 1, 2, 3])


def actnorm() -> Flow:
    return registry.build("flow", "actnorm", (DIM,), 0).double()


def assert_standard(y: Tensor) -> None:
    assert_close(y.mean(0), torch.zeros(DIM).double(), rtol=0, atol=1e-6)
    assert_close(y.std(0, correction=0), torch.ones(DIM).double(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("inverse", [False, True])
def test_what_comes_out_is_standardised_whichever_way_data_pass(inverse: bool) -> None:
    flow, x = actnorm(), batch()
    f = Inverse(flow()) if inverse else flow()
    assert_close(f.call_and_ladj(x), (x, torch.zeros(len(x)).double()), rtol=0, atol=0)
    with starting(flow):
        y, ladj = f.call_and_ladj(x)
        f(7 * x)
    assert_standard(y)
    assert_close((y, ladj), f.call_and_ladj(x), rtol=1e-12, atol=1e-12)
    assert_close(ladj, -x.std(0, correction=0).log().sum().expand(len(x)), rtol=1e-9, atol=1e-9)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in flow.parameters())


def test_each_part_starts_from_what_those_before_it_made() -> None:
    flow, x = registry.build("flow", GLOW, (DIM,), 0).double(), batch()
    with starting(flow):
        flow()(x)
    parts = flow().parts
    assert len(parts) == 6
    for t in (0, 1):
        assert_standard(Composed(parts[: 3 * t + 1])(x))


def test_where_all_points_agree_only_their_mean_is_taken() -> None:
    flow, x = actnorm(), torch.full((5, DIM), 3.0).double()
    with starting(flow):
        assert_close(flow()(x), torch.zeros_like(x), rtol=0, atol=1e-12)
    assert_close(flow()(x + 1), torch.ones_like(x), rtol=0, atol=1e-12)


def test_weights_that_have_started_never_start_again() -> None:
    flow = actnorm()
    assert len(unstarted(flow)) == 1
    with starting(flow):
        flow()(batch())
    loaded = actnorm()
    loaded.load_state_dict(flow.state_dict())
    for same in (flow, deepcopy(flow), loaded):
        assert unstarted(same) == []
        with starting(same):
            same()(batch() ** 2)
        assert_close(dict(same.named_parameters()), dict(flow.named_parameters()), rtol=0, atol=0)


def test_outside_nothing_starts() -> None:
    flow = actnorm()
    with pytest.raises(RuntimeError, match="interrupted"), starting(flow):
        raise RuntimeError("interrupted")
    flow()(batch())
    assert len(unstarted(flow)) == 1


def test_a_run_starts_once_and_its_seed_decides_how(tmp_path: Path) -> None:
    """From the first batch of a fresh run; the weights it starts with are kept; trained weights go on as they are."""
    data = load_data("digits")
    spec = {"latents": {"dim": DIM, "posterior": {"flow": GLOW}}, "encoder": {"width": 16}}

    def trained(run: Path | None = None, seed: int = 0) -> torch.nn.Module:
        torch.manual_seed(3)
        return fit(build_model(spec, data), data, epochs=1, run=run, seed=seed, quiet=True).model

    name = "latents.posterior.flow.before.0.0.moments.m"
    model = trained(tmp_path / "run")
    initial = load_weights(Folder(tmp_path / "run").weights("initial"))
    assert initial[name].abs().min() > 0
    assert unstarted(model) == []
    assert torch.equal(model.state_dict()[name], trained().state_dict()[name])
    trained(tmp_path / "other", seed=1)
    assert not torch.equal(initial[name], load_weights(Folder(tmp_path / "other").weights("initial"))[name])
    before = model.state_dict()[name].clone()
    fit(model, data, epochs=1, quiet=True, optimiser={"name": "adam", "lr": 1e-9})
    assert_close(model.state_dict()[name], before, rtol=0, atol=1e-5)
