"""The same weights in zuko and in nflows give the same outputs, inverses and log-determinants."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from nflows.transforms.autoregressive import MaskedAffineAutoregressiveTransform
from normflows.flows import Planar
from torch import Tensor, nn
from torch.distributions import AffineTransform, ComposeTransform, IndependentTransform
from torch.nn.functional import elu, softplus
from torch.testing import assert_close
from zuko.distributions import DiagNormal, NormalizingFlow
from zuko.nn import MaskedMLP
from zuko.transforms import AutoregressiveTransform

from flowvae import registry
from flowvae.nn import MADE
from flowvae.transforms import Autoregressive, PlanarTransform
from tests.laws.catalogue import generic

DIM, CONTEXT, WIDTH = 4, 3, 12


def copy(ours: MADE, theirs: nn.Module, degrees: int, rows: list[int]) -> None:
    """Our weights into another library's masked layers.

    Their hidden units cycle through the degrees where ours ascend, and their output k is our output ``rows[k]``; in
    the first layer their context comes before x.
    """
    cycle = torch.arange(WIDTH) % degrees
    unit = torch.argsort(torch.argsort(cycle, stable=True))  # their unit k is ours unit[k]
    layers = [layer for layer in theirs.modules() if hasattr(layer, "mask")]
    first = (
        ours.hidden[0].weight if ours.context is None else torch.cat([ours.context.weight, ours.hidden[0].weight], 1)
    )
    with torch.no_grad():
        layers[0].weight.copy_(first[unit])
        layers[0].bias.copy_(ours.hidden[0].bias[unit])
        for layer, our_layer in zip(layers[1:-1], ours.hidden[1:], strict=True):
            layer.weight.copy_(our_layer.weight[unit][:, unit])
            layer.bias.copy_(our_layer.bias[unit])
        layers[-1].weight.copy_(ours.out.weight[rows][:, unit])
        layers[-1].bias.copy_(ours.out.bias[rows])


def zukos(ours: MADE, reverse: bool) -> MaskedMLP:
    """zuko's network of the same dependences, with our weights."""
    before = torch.ones(DIM, DIM).tril(-1).bool()
    before = before.flip(0, 1) if reverse else before
    context = 0 if ours.context is None else CONTEXT
    adjacency = torch.cat([torch.ones(DIM, context).bool(), before], 1).repeat(ours.outputs, 1)
    theirs = MaskedMLP(adjacency, [WIDTH, WIDTH], activation=nn.ELU).double()
    copy(ours, theirs, DIM if context else DIM - 1, list(range(ours.outputs * DIM)))
    return theirs


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("context", [0, CONTEXT])
def test_made_is_zukos_masked_mlp(context: int, reverse: bool) -> None:
    ours = generic(MADE(DIM, context, width=WIDTH, depth=2, activation="elu", reverse=reverse))
    theirs = zukos(ours, reverse)
    x, h = torch.randn(7, DIM).double(), torch.randn(7, CONTEXT).double()
    expected = theirs(torch.cat([h, x], -1) if context else x)
    assert_close(torch.cat(ours(x, h if context else None), -1), expected, rtol=1e-12, atol=1e-12)


def zukos_transform(flow: nn.Module, h: Tensor | None, update: str) -> ComposeTransform:
    """The steps of our IAF by zuko's autoregressive transform, with our weights."""
    nets = [zukos(net, t % 2 == 1) for t, net in enumerate(flow.nets)]

    def affine(m: Tensor, s: Tensor | None = None) -> AffineTransform:
        if s is None:
            return AffineTransform(m, torch.ones_like(m))
        if update == "gated":
            return AffineTransform((1 - torch.sigmoid(s + 1.5)) * m, torch.sigmoid(s + 1.5))
        return AffineTransform(m, torch.exp(5 * torch.tanh(s / 5)))

    def given(net: MaskedMLP) -> AutoregressiveTransform:
        inputs = (lambda z: z) if h is None else (lambda z: torch.cat([h.expand(len(z), -1), z], -1))
        return AutoregressiveTransform(lambda z: IndependentTransform(affine(*net(inputs(z)).split(DIM, -1)), 1), DIM)

    return ComposeTransform([given(net) for net in nets])


def iaf(update: str) -> dict[str, Any]:
    return {"name": "iaf", "steps": 3, "width": WIDTH, "update": update, "gate_bias": 1.5}


@pytest.mark.parametrize("update", ["gated", "affine", "constant-sigma"])
@pytest.mark.parametrize("context", [0, CONTEXT])
def test_iaf_is_zukos_autoregressive_transform(context: int, update: str) -> None:
    """Three steps, reversed in turn: points, inverses and log-determinants."""
    flow = generic(registry.build("flow", iaf(update), (DIM,), context))
    x, h = torch.randn(7, DIM).double(), torch.randn(7, CONTEXT).double() if context else None
    ours, theirs = flow(h), zukos_transform(flow, h, update)
    y, ladj = ours.call_and_ladj(x)
    assert_close(y, theirs(x), rtol=1e-10, atol=1e-10)
    assert_close(ladj, theirs.log_abs_det_jacobian(x, y), rtol=1e-10, atol=1e-10)
    assert_close(ours.inv(y), theirs.inv(y), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("context", [0, CONTEXT])
def test_a_flow_prior_is_zukos_masked_autoregressive_flow(context: int) -> None:
    """zuko's transforms run from points to noise, and so does the flow of a prior: the same net, the same density."""
    prior = generic(registry.build("prior", {"name": "flow", "flow": iaf("affine")}, (DIM,), context))
    z, c = torch.randn(7, DIM).double(), torch.randn(7, context).double()
    base = DiagNormal(prior.base(c).mean, prior.base(c).stddev)
    theirs = NormalizingFlow(zukos_transform(prior.flow, c if context else None, "affine"), base)
    assert_close(prior(c).log_prob(z), theirs.log_prob(z), rtol=1e-10, atol=1e-10)


@dataclass(frozen=True)
class SoftplusAffine:
    """nflows' update: y = (softplus(s) + 0.001) x + m."""

    def forward(self, x: Tensor, m: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        scale = softplus(s) + 1e-3
        return scale * x + m, scale.log()

    def inverse(self, y: Tensor, m: Tensor, s: Tensor) -> Tensor:
        return (y - m) / (softplus(s) + 1e-3)


def test_an_autoregressive_step_is_nflows_masked_affine_transform() -> None:
    ours = generic(MADE(DIM, width=WIDTH, depth=2, activation="elu"))
    theirs = MaskedAffineAutoregressiveTransform(
        DIM, WIDTH, num_blocks=1, use_residual_blocks=False, activation=elu
    ).double()
    copy(ours, theirs, DIM - 1, [row for i in range(DIM) for row in (DIM + i, i)])  # theirs are (s, m) in turn
    step, x = Autoregressive(ours, SoftplusAffine()), torch.randn(7, DIM).double()
    y, ladj = step.call_and_ladj(x)
    assert_close((y, ladj), theirs(x), rtol=1e-10, atol=1e-10)
    assert_close(step.inverse_and_ladj(y), theirs.inverse(y), rtol=1e-8, atol=1e-8)


def rezende_mohamed(z: Tensor, u: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Equations 10 to 12 of Rezende and Mohamed (2015): f(z) = z + u h(w.z + b), log |1 + u.psi(z)|, h = tanh."""
    inside = z @ w + b
    psi = (1 - torch.tanh(inside) ** 2)[:, None] * w
    return z + u * torch.tanh(inside)[:, None], torch.log((1 + psi @ u).abs())


@pytest.mark.parametrize("scale", [1e-6, 0.1, 1.0, 3.0])
def test_planar_is_that_of_rezende_and_mohamed(scale: float) -> None:
    """With u moved along w as in their appendix A.1, by m(a) = log(1 + (e - 1) e^a) - 1 so that u = 0 stays."""
    for _ in range(10):
        u, w, b = torch.randn(DIM).double(), scale * torch.randn(DIM).double(), torch.randn(()).double()
        x, dot = torch.randn(7, DIM).double(), w @ u
        moved = torch.log(1 + (torch.e - 1) * dot.exp()) - 1
        expected = rezende_mohamed(x, u + (moved - dot) * w / (w @ w), w, b)
        assert_close(PlanarTransform(u, w, b).call_and_ladj(x), expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("scale", [0.1, 1.0, 3.0])
def test_planar_is_normflows(scale: float) -> None:
    """Its u is moved by another m(a), log(1 + e^a) - 1: what it is given is what that one moves to ours."""
    ours = PlanarTransform(*(scale * t.double() for t in (torch.randn(DIM), torch.randn(DIM), torch.randn(()))))
    w, dot = ours.w, ours.dot
    given = ours.u + (torch.log(torch.expm1(dot + 1)) - dot) * w / (w @ w)
    theirs, x = Planar((DIM,), u=given[None], w=w[None], b=ours.b.reshape(1)), torch.randn(7, DIM).double()
    assert_close(ours.call_and_ladj(x), theirs(x), rtol=1e-8, atol=1e-8)


def test_planar_flow_is_its_steps_in_order() -> None:
    flow = generic(registry.build("flow", {"name": "planar", "steps": 3}, (DIM,), 0))
    x = torch.randn(7, DIM).double()
    y, total = x, torch.zeros(7).double()
    for u, w, b in (row.split([DIM, DIM, 1]) for row in flow.phi().unflatten(0, (3, -1))):
        y, ladj = PlanarTransform(u, w, b[0]).call_and_ladj(y)
        total = total + ladj
    assert_close(flow().call_and_ladj(x), (y, total), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1e-12, 1e-7, 1e-3, 1.0, 30.0])
def test_planar_is_a_bijection_at_any_size_of_its_parameters(dtype: torch.dtype, size: float) -> None:
    """Invertible by construction: w.u > -1, points come back, and gradients are finite, also for w near 0."""
    u = (torch.randn(50, DIM) * max(size, 1.0)).to(dtype)
    w = (torch.randn(50, DIM) * size).to(dtype).requires_grad_()
    b, x = torch.randn(50).to(dtype), torch.randn(50, DIM).to(dtype)
    f = PlanarTransform(u, w, b)
    assert (f.dot > -1).all()
    assert (f.u.norm(dim=-1) <= 2.001 * u.norm(dim=-1)).all()
    assert_close(f.u.double(), PlanarTransform(u.double(), w.double(), b.double()).u, rtol=1e-4, atol=1e-3)
    y, ladj = f.call_and_ladj(x)
    assert torch.isfinite(ladj).all()
    (y.sum() + ladj.sum()).backward()
    assert torch.isfinite(w.grad).all()
    if size <= 1:
        assert_close(f.inv(y), x, rtol=0, atol=1e-4 if dtype == torch.float32 else 1e-7)
