"""Every flow is a bijection that tells its own log-determinant."""

import math

import pytest
import torch
from torch import Tensor
from torch.autograd.functional import jacobian
from torch.testing import assert_close

from flowvae import InputError
from flowvae.transforms import Composed, Inverse, Transform
from tests.laws.catalogue import Case, cases, generic, slack

flows = pytest.mark.parametrize("case", cases("flow"), ids=str)


def transform(case: Case, *batch: int) -> tuple[Transform, Tensor]:
    """A flow's transform for contexts of the batch, and points."""
    torch.manual_seed(3)
    (event, context), flow = case.shapes, generic(case.build())
    h = torch.randn(*batch, context, dtype=torch.float64) if context else None
    return flow(h), torch.randn(*batch, math.prod(event), dtype=torch.float64)


@flows
def test_log_determinant_is_that_of_the_jacobian(case: Case) -> None:
    for _ in range(3):
        f, x = transform(case)
        sign, expected = torch.linalg.slogdet(jacobian(lambda t, f=f: f(t), 3 * x))
        assert sign != 0
        assert_close(f.call_and_ladj(3 * x)[1], expected, rtol=1e-9, atol=1e-9 + slack(case))


@flows
def test_the_inverse_undoes_the_map_and_the_map_the_inverse(case: Case) -> None:
    f, x = transform(case, 2, 5)
    y, ladj = f.call_and_ladj(x)
    assert_close(f.inv(y), x, rtol=1e-7, atol=1e-7 + slack(case))
    points = y + 0.3 * torch.randn_like(y)  # the inverse of a deep flow is steep far from where it sends noise
    assert_close(f(f.inv(points)), points, rtol=1e-7, atol=1e-7 + slack(case))
    back, back_ladj = f.inverse_and_ladj(y)
    assert_close((back, back_ladj), (x, -ladj), rtol=1e-7, atol=1e-7 + slack(case))


@flows
def test_terms_of_the_log_determinant_add_up_to_it(case: Case) -> None:
    f, x = transform(case, 4)
    for way, points in ((f, x), (Inverse(f), f(x)), (Composed([f, f]), x)):
        y, ladj = way.call_and_ladj(points)
        if f.by_coordinate:
            again, terms = way.call_and_ladjs(points)
            assert terms.shape == x.shape
            assert_close((again, terms.sum(-1)), (y, ladj), rtol=1e-9, atol=1e-9)
        else:
            with pytest.raises(NotImplementedError):
                way.call_and_ladjs(points)


@flows
def test_the_ways_to_ask_agree(case: Case) -> None:
    f, x = transform(case, 4)
    y, ladj = f.call_and_ladj(x)
    assert_close(f(x), y, rtol=0, atol=0)
    assert_close(f.log_abs_det_jacobian(x, y), ladj, rtol=0, atol=0)
    assert_close(f.inv.log_abs_det_jacobian(y, x), -ladj, rtol=0, atol=0)
    assert_close(Inverse(f)(y), x, rtol=1e-7, atol=1e-7 + slack(case))
    assert_close(Inverse(f).call_and_ladj(y)[1], -ladj, rtol=1e-7, atol=1e-7 + slack(case))
    assert_close(Composed([f, Inverse(f)]).call_and_ladj(x), (x, 0 * ladj), rtol=1e-7, atol=1e-7 + slack(case))


@flows
def test_gradients_of_the_way_back_are_exact(case: Case) -> None:
    """f(f^-1(y)) = y whatever the parameters are: gradient 1 with respect to y, and 0 with respect to all else."""
    torch.manual_seed(3)
    (event, context), flow = case.shapes, generic(case.build())
    h = torch.randn(3, context, dtype=torch.float64, requires_grad=True) if context else None
    y = flow(h)(torch.randn(3, math.prod(event), dtype=torch.float64)).detach().requires_grad_()
    weights = torch.rand(3, math.prod(event), dtype=torch.float64)
    (weights * flow(h)(flow(h).inv(y))).sum().backward()
    assert_close(y.grad, weights, rtol=1e-6, atol=1e-6 + slack(case))
    for other in (*flow.parameters(), *([] if h is None else [h])):
        if other.grad is not None:
            assert_close(other.grad, torch.zeros_like(other), rtol=0, atol=1e-6 + slack(case))


@flows
def test_contexts_broadcast_against_points(case: Case) -> None:
    """Contexts (B,) with points (S, B), contexts (S, B) with points (B,), and one point under many contexts."""
    f, x = transform(case, 3)
    points = torch.stack([x, 2 * x])
    y, ladj = f.call_and_ladj(points)
    assert_close(y[0], f(x), rtol=1e-12, atol=1e-12)
    assert ladj.shape == (2, 3)
    assert_close(f.inv(y), points, rtol=1e-7, atol=1e-7 + slack(case))
    one, one_ladj = f.call_and_ladj(x[0])
    repeated, repeated_ladj = f.call_and_ladj(x[0].expand_as(x))
    assert_close(one.expand_as(repeated), repeated, rtol=1e-12, atol=1e-12)
    assert_close(one_ladj.expand_as(repeated_ladj), repeated_ladj, rtol=1e-12, atol=1e-12)
    assert_close(f.inv(one), x[0].expand_as(f.inv(one)), rtol=1e-7, atol=1e-7 + slack(case))


@pytest.mark.parametrize("case", [case for case in cases("flow") if case.shapes == ((2,), 3)], ids=str)
@torch.no_grad()
def test_both_ways_trace_without_a_break(case: Case) -> None:
    torch.compiler.reset()
    f, x = transform(case, 5)
    for way in (f.call_and_ladj, f.inverse_and_ladj):
        assert_close(torch.compile(way, fullgraph=True, backend="eager")(x), way(x), rtol=1e-9, atol=1e-9)


@flows
def test_a_context_that_is_missing_is_told(case: Case) -> None:
    flow = case.build()
    if getattr(flow, "context", 0):
        with pytest.raises(InputError, match="expected features h"):
            flow(None)
