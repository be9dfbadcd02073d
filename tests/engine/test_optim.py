import copy

import pytest
import torch
from torch import nn

from flowvae import fit, registry
from flowvae.engine.adam import Direct
from flowvae.engine.optim import carry_over, gradient_norm, load_moments, set_rate
from flowvae.errors import InputError

OPTIONS = {"lr": 0.01, "betas": (0.8, 0.95), "weight_decay": 0.1}
TORCH = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "adamax": torch.optim.Adamax}


def trained(optimiser_of, steps: int = 20):
    torch.manual_seed(0)
    net = nn.Linear(5, 3)
    optimiser = optimiser_of(list(net.parameters()))
    for _ in range(steps):
        optimiser.zero_grad()
        (net(torch.randn(7, 5)) ** 2).sum().backward()
        optimiser.step()
    return net.weight.detach()


@pytest.mark.parametrize("name", sorted(TORCH))
def test_equals_torch_s_plain_implementation(name):
    ours = trained(lambda p: registry.build("optimiser", {"name": name, **OPTIONS}, p))
    plain = trained(lambda p: TORCH[name](p, **OPTIONS, foreach=False))
    torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_is_one_fused_kernel_on_the_cpu(name):
    assert registry.build("optimiser", name, [torch.ones(2, requires_grad=True)]).defaults["fused"]


@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_steps_are_those_of_torch_s_fused_kernel_bit_for_bit(name, amsgrad):
    options = {"lr": 0.01, "betas": (0.8, 0.95), "weight_decay": 0.1, "amsgrad": amsgrad}
    ours, torchs = ([torch.ones(3, 2, requires_grad=True), torch.ones(5, requires_grad=True)] for _ in range(2))
    optimisers = [
        registry.build("optimiser", {"name": name, **options}, ours),
        TORCH[name](torchs, **options, fused=True),
    ]
    assert isinstance(optimisers[0], Direct)
    for step in range(9):
        gradients = [torch.randn(3, 2), torch.randn(5) if step % 3 else None]  # one is not trained in every step
        for parameters, optimiser in zip((ours, torchs), optimisers, strict=True):
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient
            optimiser.step()
        if step == 5:  # as after a checkpoint
            load_moments(optimisers[0], copy.deepcopy(optimisers[0].state_dict()))
    for a, b in zip(ours, torchs, strict=True):
        assert torch.equal(a, b)
        assert all(torch.equal(optimisers[0].state[a][key], value) for key, value in optimisers[1].state[b].items())


def test_the_direct_step_is_for_parameters_of_one_dtype():
    of = [torch.ones(2, dtype=dtype, requires_grad=True) for dtype in (torch.float32, torch.float64)]
    optimiser = registry.build("optimiser", "adam", of)
    assert not isinstance(optimiser, Direct)
    sum(p.double().sum() for p in of).backward()
    optimiser.step()
    assert all((p < 1).all() for p in of)


@pytest.mark.parametrize("name", sorted(TORCH))
def test_options_out_of_range_are_refused(name):
    with pytest.raises(InputError, match=r"optimiser\.lr: expected greater than 0; got -1"):
        registry.resolve("optimiser", {"name": name, "lr": -1})
    with pytest.raises(InputError, match=r"optimiser\.betas\.0: expected less than 1; got 1.0"):
        registry.resolve("optimiser", {"name": name, "betas": [1.0, 0.9]})


def test_moments_carry_over_to_shared_parameters_only():
    shared, left, new = (torch.ones(2, requires_grad=True) for _ in range(3))
    first = registry.build("optimiser", "adam", [shared, left])
    (shared.sum() + left.sum()).backward()
    first.step()
    second = registry.build("optimiser", "adam", [shared, new])
    carry_over(first, second)
    assert second.state[shared]["exp_avg"].tolist() == first.state[shared]["exp_avg"].tolist()
    assert new not in second.state
    assert left not in second.state
    third = registry.build("optimiser", "adamax", [shared])
    carry_over(first, third)
    assert not third.state


def test_rate_is_a_factor_on_the_configured_one_however_often_it_is_set():
    optimiser = registry.build("optimiser", {"name": "adam", "lr": 0.2}, [torch.ones(1, requires_grad=True)])
    set_rate(optimiser, 0.1)
    assert set_rate(optimiser, 0.5) == pytest.approx(0.1)


def test_gradient_norm_of_none_lies_where_the_parameters_do():
    norm = gradient_norm([torch.ones(2, device="meta", dtype=torch.float64, requires_grad=True)])
    assert (norm.device.type, norm.dtype, norm.shape) == ("meta", torch.float64, ())


def test_gradient_norm_is_global_and_shows_what_is_not_finite():
    a, b = torch.zeros(2, 3, requires_grad=True), torch.zeros(4, requires_grad=True)
    a.grad, b.grad = torch.randn(3, 2).T, torch.randn(4)
    expected = torch.cat([a.grad.flatten(), b.grad]).norm()
    torch.testing.assert_close(gradient_norm([a, b]), expected)
    for value in (float("nan"), float("inf")):
        b.grad[1] = value
        assert not torch.isfinite(gradient_norm([a, b]))


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_a_phase_may_switch_amsgrad_on_and_off(name, data, build):
    phases = [{"epochs": 1, "optimiser": {"name": name, "amsgrad": on}} for on in (False, True, False)]
    fitted = fit(build(), data, phases=phases, optimiser=name, quiet=True)
    assert fitted.epochs == 3
    assert all(p.isfinite().all() for p in fitted.model.parameters())


@pytest.mark.parametrize("name", ["adam", "adamax"])
def test_a_step_that_spares_all_that_is_trained_changes_nothing_of_it(name, data, build):
    """Once in three steps there is one."""
    phases = [{"epochs": 1, "freeze": ["encoder", "latents"], "every": {"likelihood": 3}}]
    model = build()
    before = {n: p.clone() for n, p in model.named_parameters()}
    fit(model, data, phases=phases, optimiser=name, quiet=True)
    moved = {n for n, p in model.named_parameters() if not p.equal(before[n])}
    assert moved
    assert all(n.startswith("likelihood.") for n in moved)
