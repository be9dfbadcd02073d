"""The spline is that of two other libraries, and finite wherever they are not."""

import math

import pytest
import torch
from nflows.transforms.splines.rational_quadratic import rational_quadratic_spline
from torch import Tensor, nn
from torch.distributions import ComposeTransform, IndependentTransform
from torch.testing import assert_close
from zuko.transforms import AutoregressiveTransform, CouplingTransform, MonotonicRQSTransform

from flowvae import InputError, registry
from flowvae.transforms import Spline
from flowvae.transforms.spline import LEAST
from tests.laws.catalogue import generic

SPLINE = Spline(bins=5, bound=3.0)


def parameters(*batch: int, size: float = 2.0) -> tuple[Tensor, ...]:
    torch.manual_seed(0)
    return tuple(size * torch.randn(SPLINE.size, *batch, dtype=torch.float64))


def knots(params: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Widths and heights as shares of the interval, and the slopes at all knots, as the definition has them."""
    widths, heights, a = torch.stack(params, -1).split([5, 5, 4], -1)
    shares = [LEAST / 5 + (1 - LEAST) * torch.softmax(sizes, -1) for sizes in (widths, heights)]
    slopes = torch.exp(-math.log(LEAST) * torch.tanh(a / -math.log(LEAST)))
    ends = torch.ones_like(slopes[..., :1])
    return *shares, torch.cat([ends, slopes, ends], -1)


def zukos(params: tuple[Tensor, ...]) -> MonotonicRQSTransform:
    """zuko's spline with our knots."""
    widths, heights, slopes = knots(params)
    theirs = MonotonicRQSTransform(widths, heights, slopes[..., 1:-1].log(), bound=3.0)
    theirs.horizontal, theirs.vertical = (
        torch.cat([torch.full_like(t[..., :1], -3.0), 6 * t.cumsum(-1) - 3], -1) for t in (widths, heights)
    )
    theirs.derivatives = slopes
    return theirs


def test_it_is_zukos() -> None:
    """Forward, inverse and log-derivative, given the same knots, inside and beyond."""
    params, x = parameters(200, 4), 2.5 * torch.randn(200, 4).double()
    theirs = zukos(params)
    y, ladj = SPLINE.forward(x, *params)
    expected, expected_ladj = theirs.call_and_ladj(x)
    assert_close((y, ladj), (expected, expected_ladj), rtol=1e-10, atol=1e-10)
    assert_close(SPLINE.inverse(y, *params), x, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("inverse", [False, True])
def test_it_is_nflows(inverse: bool) -> None:
    """nflows' unconstrained parameters, chosen to stand for our knots."""
    params, x = parameters(200, 4), (6 * torch.rand(200, 4) - 3).double()
    widths, heights, slopes = knots(params)
    expected, ladj = rational_quadratic_spline(
        x, widths.log(), heights.log(), (slopes - 1e-9).expm1().log(), inverse=inverse, left=-3.0, right=3.0,
        bottom=-3.0, top=3.0, min_bin_width=0.0, min_bin_height=0.0, min_derivative=1e-9,
    )  # fmt: skip
    if inverse:
        assert_close(SPLINE.inverse(x, *params), expected, rtol=1e-9, atol=1e-9)
    else:
        assert_close(SPLINE.forward(x, *params), (expected, ladj), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("context", [0, 2])
@pytest.mark.parametrize("form", ["autoregressive", "coupling"])
def test_the_flow_is_zukos_transforms_one_after_the_other(form: str, context: int) -> None:
    """Three steps with the same nets, composed by zuko: points, inverses and log-determinants."""
    spec = {"name": "spline", "form": form, "steps": 3, "bins": 5, "bound": 3.0, "width": 12}
    flow = generic(registry.build("flow", spec, (4,), context))
    h = torch.randn(context).double() if context else None

    def autoregressive(net: nn.Module) -> AutoregressiveTransform:
        def given(x: Tensor) -> IndependentTransform:
            return IndependentTransform(zukos(net(x, None if h is None else h.expand(len(x), -1))), 1)

        return AutoregressiveTransform(given, 4)

    def coupling(net: nn.Module, kept: Tensor) -> CouplingTransform:
        def given(known: Tensor) -> IndependentTransform:
            x = torch.zeros(len(known), 4).double().index_copy(1, kept.nonzero()[:, 0], known)
            params = net.under(h)(x).chunk(SPLINE.size, -1)
            return IndependentTransform(zukos(tuple(p[:, ~kept] for p in params)), 1)

        return CouplingTransform(given, kept)

    steps = [
        autoregressive(net) if form == "autoregressive" else coupling(net, (torch.arange(4) + t) % 2 == 0)
        for t, net in enumerate(flow.nets)
    ]
    ours, theirs, x = flow(h), ComposeTransform(steps), 2 * torch.randn(50, 4).double()
    y, ladj = ours.call_and_ladj(x)
    assert_close(y, theirs(x), rtol=1e-9, atol=1e-9)
    assert_close(ladj, theirs.log_abs_det_jacobian(x, y), rtol=1e-7, atol=1e-7)
    assert_close(ours.inv(y), theirs.inv(y), rtol=1e-6, atol=1e-6)


def adversarial(n: int) -> tuple[Tensor, tuple[Tensor, ...]]:
    """n points and parameters in single precision: knots to the bit and beside them, ends, far tails, sizes to 1e4."""
    generator = torch.Generator().manual_seed(1)
    sizes = torch.tensor([0.0, 1e-6, 1.0, 10.0, 1e3, 1e4]).repeat(-(-n // 6))[:n]
    params = sizes * torch.randn(SPLINE.size, n, generator=generator)
    widths = torch.stack(tuple(params[:5]), -1)
    chosen = torch.randint(6, (n, 1), generator=generator)
    knot = SPLINE._knots(widths).gather(-1, chosen)[:, 0]
    far = torch.tensor([3.0, -3.0, 1e4, -1e30, 3.4e38, 0.0, 1e-38, 3.0000002]).repeat(-(-n // 8))[:n]
    kinds = [
        3 * torch.randn(n, generator=generator), knot, torch.nextafter(knot, knot + 1), torch.nextafter(knot, knot - 1),
        6 * torch.rand(n, generator=generator) - 3, far,
    ]  # fmt: skip
    which = torch.randint(len(kinds), (n,), generator=generator)
    return torch.stack(kinds).gather(0, which[None])[0], tuple(params)


@pytest.mark.parametrize(("inverse", "n"), [(False, 1_000_000), (True, 1_000_000)])
def test_a_million_inputs_stay_finite_with_their_gradients_and_come_back(inverse: bool, n: int) -> None:
    """Back to within rounding of the point or, where the way back is steep, of its image."""

    def there(t: Tensor) -> Tensor:
        return SPLINE.inverse(t, *params) if inverse else SPLINE.forward(t, *params)[0]

    def back(t: Tensor) -> Tensor:
        return SPLINE.forward(t, *params)[0] if inverse else SPLINE.inverse(t, *params)

    t, params = adversarial(n)
    for tensor in (t, *params):
        tensor.requires_grad_()
    out = there(t)
    ladj = SPLINE.forward(out if inverse else t, *params)[1]
    assert torch.isfinite(out).all()
    assert torch.isfinite(ladj).all()
    (out.clamp(-4, 4).sum() + ladj.sum()).backward()
    for tensor in (t, *params):
        assert torch.isfinite(tensor.grad).all()
    with torch.no_grad():
        again = back(out)
        error = torch.minimum((again - t).abs(), (there(again) - out).abs())
    assert (error <= 1e-4 * t.abs().clamp(min=1)).all()
    assert torch.equal(out[t.abs() >= 3], t[t.abs() >= 3])


@pytest.mark.parametrize("context", [0, 2])
@pytest.mark.parametrize("form", ["autoregressive", "coupling"])
def test_the_flow_stays_finite_with_its_gradients_at_points_of_any_size(form: str, context: int) -> None:
    """In single precision, both ways; what lies beyond the bound stays where it is."""
    flow = generic(registry.build("flow", {"name": "spline", "form": form, "steps": 3}, (4,), context)).float()
    sizes = torch.tensor([1.0, 5.0, 1e4, 1e19, 1e30, 1e37, 3.4e38])
    x = torch.randn(100_000, 4) * sizes[torch.randint(7, (100_000, 4))]
    x = x.clamp(-3.4e38, 3.4e38).requires_grad_()
    h = torch.randn(context) if context else None
    for inverse in (False, True):
        y, ladj = flow(h).inverse_and_ladj(x) if inverse else flow(h).call_and_ladj(x)
        flow.zero_grad()
        (y.clamp(-9, 9).sum() + ladj.sum()).backward()
        for t in (y, ladj, x.grad, *(p.grad for p in flow.parameters())):
            assert torch.isfinite(t).all()
        assert torch.equal(y[x.abs() > 5], x[x.abs() > 5])


def test_it_increases_across_knots_in_single_precision() -> None:
    x = torch.linspace(-3.1, 3.1, 100_000)[:, None]
    y = SPLINE.forward(x, *(p.float() for p in parameters(8, size=5.0)))[0]
    assert (y.diff(dim=0) > -1e-6).all()


@pytest.mark.parametrize("form", ["autoregressive", "coupling"])
def test_the_flow_starts_as_the_identity(form: str) -> None:
    flow = registry.build("flow", {"name": "spline", "form": form, "width": 8}, (3,), 2).double()
    x = 4 * torch.randn(50, 3, dtype=torch.float64)
    assert_close(flow(torch.randn(50, 2).double()).call_and_ladj(x), (x, 0 * x[:, 0]), rtol=0, atol=1e-12)


def test_one_coordinate_cannot_be_coupled() -> None:
    with pytest.raises(InputError, match="use form = 'autoregressive'"):
        registry.build("flow", {"name": "spline", "form": "coupling"}, (1,), 3)
