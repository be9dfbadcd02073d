"""Flows, families, priors and posteriors: all of them are densities."""

import math

import pytest
import torch
from torch import Tensor
from torch.autograd.functional import jacobian
from torch.distributions import Distribution
from torch.testing import assert_close

from flowvae.distributions.base import Reparameterised
from tests.laws.catalogue import DENSITIES, DRAWN, PLANE, Case, drawn, generic, slack

densities = pytest.mark.parametrize("case", DENSITIES, ids=str)
pushforwards = pytest.mark.parametrize("case", DRAWN, ids=str)


def density(case: Case, *batch: int, size: float = 1.0) -> tuple[Distribution, Tensor]:
    """The distribution of a rig with the given batch, and noise for it."""
    rig = case.rig(generic(case.build(), size=size))
    *condition, eps = rig.inputs(*batch)
    assert rig.q is not None
    return rig.q(*condition).expand(batch), eps.double()


@densities
def test_shapes(case: Case) -> None:
    q, eps = density(case, 2, 3)
    z, log_q = drawn(q, eps)
    assert (q.batch_shape, q.event_shape) == ((2, 3), z.shape[2:])
    assert (z.shape, log_q.shape) == (eps.shape, (2, 3))
    assert q.log_prob(z).shape == (2, 3)
    assert q.sample((5,)).shape == (5, *z.shape)
    assert q.expand((4, 2, 3)).sample().shape == (4, *z.shape)
    if q.has_rsample:
        assert q.rsample((5,)).shape == (5, *z.shape)


@densities
def test_a_draw_is_scored_as_any_point(case: Case) -> None:
    """log q(z) that comes with a draw is log_prob(z), which knows nothing of its noise."""
    q, eps = density(case, 2, 3)
    z, log_q = drawn(q, eps)
    assert_close(q.log_prob(z), log_q, rtol=1e-8, atol=1e-7 + slack(case))


@pushforwards
def test_the_density_is_that_of_the_map(case: Case) -> None:
    """log q(z) = log N(eps; 0, I) - log |det dz/deps|, the Jacobian by autograd."""
    q, eps = density(case)
    assert isinstance(q, Reparameterised)
    _, log_q = drawn(q, eps)
    _, log_det = torch.linalg.slogdet(jacobian(lambda e: drawn(q, e)[0], eps))
    log_normal = -0.5 * (eps.square() + math.log(2 * math.pi)).sum()
    assert_close(log_q, log_normal - log_det, rtol=1e-9, atol=1e-9 + slack(case))


@pytest.mark.parametrize("case", PLANE, ids=str)
def test_the_density_integrates_to_one(case: Case) -> None:
    """On a grid of the line or the plane, by the trapezium rule; parameters are halved lest it miss a narrow peak.

    The densities of splines have kinks, where the rule errs by about the square of its step.
    """
    q, eps = density(case, size=0.5)
    step = 0.02 if len(eps) == 1 else 0.2
    axis = torch.arange(-12, 12 + step / 2, step, dtype=torch.float64)
    grid = torch.cartesian_prod(*[axis] * len(eps)).reshape(-1, len(eps))
    with torch.no_grad():
        mass = q.log_prob(grid).exp().sum() * step ** len(eps)
    assert_close(mass, torch.ones_like(mass), rtol=0, atol=step**2)


@pushforwards
def test_noise_decides_the_draw(case: Case) -> None:
    """The noise given, of the shape asked for, is all that a draw depends on; none given is new noise."""
    q, eps = density(case, 2, 3)
    shapes = []

    def noise(shape: torch.Size) -> Tensor:
        shapes.append(shape)
        return eps

    assert isinstance(q, Reparameterised)
    first, again = q.rsample_and_log_prob(noise)[0], q.rsample_and_log_prob(noise)[0]
    assert shapes == [eps.shape] * 2
    assert torch.equal(first, again)
    assert not torch.equal(q.rsample(), q.rsample())
    assert not torch.isclose(q.rsample_and_log_prob(lambda shape: -eps)[0], first).any()


@densities
def test_half_precision_networks_do_not_blur_the_density(case: Case) -> None:
    """Under autocast the draw still has the density that comes with it."""
    if case.kind != "family":  # elsewhere networks run in half precision too, and rescore a point differently
        return
    q, eps = density(case, 5)
    half = [t.to(torch.bfloat16) for t in case.rig().inputs(5)[:-1]]
    with torch.autocast("cpu", torch.bfloat16):
        q = case.build()(*half)
        z, log_q = q.rsample_and_log_prob(lambda shape: eps.float())
    assert z.dtype == log_q.dtype == torch.float32
    assert_close(q.log_prob(z), log_q, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [1e4, -1e4, 1e30, -1e30])
@pytest.mark.parametrize("case", [case for case in DENSITIES if case.kind == "family"], ids=str)
def test_no_family_collapses(case: Case, size: float) -> None:
    """Extreme parameters in single precision: variances strictly positive, draws and densities finite."""
    phi = torch.full((3, case.build().size), size)
    q = case.build()(phi)
    if abs(size) <= 1e4:
        assert (q.variance > 0).all()
        assert torch.isfinite(q.variance).all()
        assert torch.isfinite(q.entropy()).all()
    z, log_q = drawn(q, torch.randn(3, *q.event_shape))
    assert torch.isfinite(z).all()
    assert torch.isfinite(log_q).all()
