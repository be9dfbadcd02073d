"""The continuous flow against closed forms, against another solver, and its estimate against the exact trace."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor
from torch.testing import assert_close

from flowvae import registry, transforms
from flowvae.errors import InputError
from flowvae.transforms import ODETransform
from tests.laws.catalogue import generic


def linear(dim: int, intervals: int, estimated: bool = False) -> tuple[ODETransform, Tensor]:
    """dz/dt = A z, whose solution is exp(A) x, with log |det| = tr A."""
    torch.manual_seed(0)
    a = torch.randn(dim, dim, dtype=torch.float64) / dim**0.5
    return ODETransform(lambda t, z: z @ a.T, torch.Size(), transforms.runge_kutta(intervals), estimated=estimated), a


def test_a_linear_field_is_a_matrix_exponential() -> None:
    f, a = linear(5, 100)
    x = torch.randn(7, 5, dtype=torch.float64)
    y, ladj = f.call_and_ladj(x)
    assert_close(y, x @ torch.linalg.matrix_exp(a).T, rtol=1e-8, atol=1e-8)
    assert_close(ladj, a.trace().expand(7), rtol=1e-10, atol=1e-10)
    assert_close(f.inverse_and_ladj(y), (x, -ladj), rtol=1e-8, atol=1e-8)


def test_the_error_falls_with_the_fourth_power() -> None:
    x = torch.randn(7, 5, dtype=torch.float64)
    errors = []
    for intervals in (4, 8, 16):
        f, a = linear(5, intervals)
        errors.append((f(x) - x @ torch.linalg.matrix_exp(a).T).norm().item())
    assert 12 < errors[0] / errors[1] < 20
    assert 12 < errors[1] / errors[2] < 20


@pytest.mark.parametrize("context", [0, 2])
def test_it_is_what_another_solver_finds(context: int) -> None:
    """scipy's, of order eight to 1e-11, with the trace by automatic differentiation of the net."""
    flow = generic(registry.build("flow", {"name": "continuous", "width": 8, "intervals": 40}, (3,), context))
    h = torch.randn(context, dtype=torch.float64) if context else None
    x = torch.randn(3, dtype=torch.float64)

    def field(z: Tensor, t: float) -> Tensor:
        return flow.net(torch.cat([z, torch.tensor([t], dtype=z.dtype)]), h)

    def slope(t: float, state: np.ndarray) -> np.ndarray:
        z = torch.from_numpy(state[:3])
        trace = torch.autograd.functional.jacobian(lambda z: field(z, t), z).trace()
        return np.append(field(z, t).detach().numpy(), trace.item())

    solved = solve_ivp(slope, (0, 1), np.append(x.numpy(), 0.0), method="DOP853", rtol=1e-11, atol=1e-11).y[:, -1]
    y, ladj = flow(h).call_and_ladj(x)
    assert_close(torch.cat([y, ladj[None]]).detach(), torch.from_numpy(solved), rtol=1e-7, atol=1e-7)


def test_the_estimate_has_the_trace_as_its_mean_and_leaves_points_as_they_are() -> None:
    """Every point has signs of its own, the same all through a solution."""
    (f, a), (exact, _) = linear(6, 4, estimated=True), linear(6, 4)
    torch.manual_seed(1)
    x = torch.randn(1, 6, dtype=torch.float64).expand(20_000, 6)
    y, ladj = f.call_and_ladj(x)
    assert_close(y, exact(x), rtol=1e-12, atol=1e-12)
    assert_close(ladj.mean(), a.trace(), rtol=0, atol=4 * ladj.std().item() / len(x) ** 0.5)
    # v . A v with v constant in time: as many values as there are pairs of opposite vectors of signs
    assert len(ladj.mul(1e6).round().unique()) == 2 ** (6 - 1)


def test_only_training_estimates() -> None:
    flow = generic(registry.build("flow", {"name": "continuous", "width": 8, "trace": "hutchinson"}, (3,), 0))
    x = torch.randn(5, 3, dtype=torch.float64)
    assert_close(flow().call_and_ladj(x)[1], flow().call_and_ladj(x)[1], rtol=0, atol=0)
    flow.train()
    assert not torch.equal(flow().call_and_ladj(x)[1], flow().call_and_ladj(x)[1])


@pytest.mark.parametrize(("dim", "estimates"), [(8, False), (9, True)])
def test_auto_estimates_in_many_dimensions(dim: int, estimates: bool) -> None:
    flow = registry.build("flow", {"name": "continuous", "width": 4}, (dim,), 0).train()
    assert flow().estimated is estimates


@pytest.mark.parametrize("trace", ["exact", "hutchinson"])
def test_the_adjoint_is_the_gradient_of_many_steps(trace: str) -> None:
    """Values and the gradients of points, context and every parameter, beside those that go through 200 steps."""
    spec = {"name": "continuous", "width": 8, "trace": trace}
    found = []
    for options in ({"solver": "rk4", "intervals": 200}, {"solver": "dopri5", "tolerance": 1e-9}):
        torch.manual_seed(0)
        flow = generic(registry.build("flow", spec | options, (3,), 2)).train()
        torch.manual_seed(1)
        x, h = (torch.randn(5, n, dtype=torch.float64, requires_grad=True) for n in (3, 2))
        y, ladj = flow(h).call_and_ladj(x)
        loss = (y.square().sum(-1) - ladj).mean()
        found.append((y, ladj, *torch.autograd.grad(loss, (x, h, *flow.parameters()), materialize_grads=True)))
    assert_close(found[1], found[0], rtol=1e-6, atol=1e-8)


def test_the_tolerance_holds_for_the_worst_point() -> None:
    """One of a thousand points moves; the mean over all would not see its error."""
    a = torch.tensor([[0.0, 30.0], [-30.0, 0.0]], dtype=torch.float64)
    solve = transforms.dormand_prince(1e-6, ())
    x = torch.zeros(1000, 2, dtype=torch.float64)
    x[7, 0] = 1
    y = ODETransform(lambda t, z: z @ a.T, torch.Size(), solve, estimated=False)(x)
    assert_close(y, x @ torch.linalg.matrix_exp(a).T, rtol=0, atol=1e-4)
    assert (y - x @ torch.linalg.matrix_exp(a).T).abs().max() > 0


def test_a_field_that_runs_away_is_refused() -> None:
    solve = transforms.dormand_prince(1e-6, ())
    f = ODETransform(lambda t, z: z.square(), torch.Size(), solve, estimated=False)
    with pytest.raises(InputError, match=r"expected an equation that can be followed to within 1e-06; got .*: raise"):
        f(torch.full((3, 2), 2.0, dtype=torch.float64))
