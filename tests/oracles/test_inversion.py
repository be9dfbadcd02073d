"""An autoregressive step run backwards: against the definition, with gradients, at any scale, and at what cost."""

import pytest
import torch
from torch import Tensor
from torch.autograd.functional import jacobian
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

from flowvae.nn import ACTIVATIONS, MADE, Activation, Autoregression
from flowvae.nn.activation import in_place
from flowvae.transforms import Affine, Autoregressive, ConstantSigma, Gated, Inversion, Update
from flowvae.transforms.autoregressive import FEW
from tests.laws.catalogue import generic

UPDATES = [Gated(), Affine(), ConstantSigma()]
NETS = [(1, 0, 1, 0), (1, 3, 2, 1), (8, 0, 2, 1), (9, 3, 1, 0), (19, 3, 3, 1), (19, 0, 2, 0)]
nets = pytest.mark.parametrize(("dim", "context", "depth", "reverse"), NETS)


def step(
    dim: int,
    context: int = 0,
    depth: int = 2,
    reverse: int = 0,
    *,
    update: Update = UPDATES[0],
    inversion: Inversion = "blocks",
    tolerance: float = 0.0,
    steepness: float = 1.0,
    batch: tuple[int, ...] = (4,),
    normed: bool = False,
    activation: Activation = "elu",
) -> Autoregressive:
    """A step in float64 under contexts of the batch; a steep one answers strongly to what it sees."""
    torch.manual_seed(2)
    sizes = {"outputs": update.size, "width": 2 * dim + 9, "depth": depth, "residual": depth > 2, "normed": normed}
    net = generic(MADE(dim, context, reverse=bool(reverse), activation=activation, **sizes))
    with torch.no_grad():
        (net.out.gain if normed else net.out.weight).mul_(steepness)
    h = torch.randn(*batch, context, dtype=torch.float64) if context else None
    return Autoregressive(Autoregression(net, h), update, inversion, tolerance)


def trained(dtype: torch.dtype) -> MADE:
    """A net of the usual size whose outputs vary by about 1."""
    torch.manual_seed(0)
    net = MADE(64, width=320, reverse=True).to(dtype)
    with torch.no_grad():
        net.out.weight.mul_(10)
    return net


def by_definition(f: Autoregressive, y: Tensor, reverse: int) -> Tensor:
    """One coordinate after the other, a pass each."""
    x = torch.zeros_like(y)
    for i in reversed(range(y.shape[-1])) if reverse else range(y.shape[-1]):
        x[..., i] = f.update.inverse(y, *f.net(x))[..., i].detach()
    return x


@nets
@pytest.mark.parametrize("inversion", ["blocks", "jacobi", "auto"])
@pytest.mark.parametrize("update", UPDATES, ids=repr)
def test_it_is_what_solving_for_each_coordinate_in_turn_gives(
    dim: int, context: int, depth: int, reverse: int, inversion: Inversion, update: Update
) -> None:
    f = step(dim, context, depth, reverse, update=update, inversion=inversion)
    for points in (torch.randn(4, dim), torch.randn(2, 4, dim), torch.randn(dim)):
        y = points.double().expand(*(points.shape[:-1] or (4,)), dim)
        with torch.no_grad():
            assert_close(f.inv(points.double()).expand_as(y), by_definition(f, y, reverse), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_in_place_are_the_same(activation: Activation) -> None:
    """Residual layers too, which add to what came before the activation's turn."""
    units = torch.randn(40, dtype=torch.float64)
    assert_close(in_place(ACTIVATIONS[activation]())(units.clone()), ACTIVATIONS[activation]()(units), rtol=0, atol=0)
    f, y = step(9, 2, 3, activation=activation), torch.randn(4, 9, dtype=torch.float64)
    with torch.no_grad():
        assert_close(f.inv(y), by_definition(f, y, 0), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("inversion", ["blocks", "jacobi", "auto"])
@pytest.mark.parametrize(("steepness", "normed"), [(1.0, False), (20.0, False), (1.0, True)])
def test_points_and_parameters_have_the_gradients_of_the_implicit_function(
    inversion: Inversion, steepness: float, normed: bool
) -> None:
    """With f(x; theta) = y: dx/dy = J^-1 and dx/dtheta = -J^-1 df/dtheta, where J = df/dx."""
    f = step(19, 3, inversion=inversion, tolerance=1e-3, steepness=steepness, batch=(), normed=normed)
    x, direction = torch.randn(2, 19, dtype=torch.float64)
    y = f(x).detach().requires_grad_()
    parameters = list(f.net.net.parameters())
    pulled = torch.linalg.solve(jacobian(f, x).T, direction)
    expected = [pulled, *(-g for g in torch.autograd.grad(f(x) @ pulled, parameters, retain_graph=True))]
    found = torch.autograd.grad(f.inv(y) @ direction, [y, *parameters])
    for one, other in zip(found, expected, strict=True):
        assert_close(one, other, rtol=1e-6, atol=1e-6 * float(other.abs().max()) + 1e-9)


def test_all_coordinates_cost_about_a_pass() -> None:
    """Multiplications, counted: no masked weight and none twice, where iteration takes pass after pass."""

    def cost(inversion: Inversion, backwards: bool) -> int:
        f = step(64, inversion=inversion, batch=(FEW + 1,))
        points = torch.randn(FEW + 1, 64, dtype=torch.float64)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            f.inv(points) if backwards else f(points)
        return counter.get_total_flops()

    a_pass = cost("blocks", backwards=False)
    assert 0.4 * a_pass < cost("blocks", backwards=True) < a_pass
    assert cost("auto", backwards=True) < a_pass
    assert cost("jacobi", backwards=True) > 3 * a_pass


@pytest.mark.parametrize("inversion", ["blocks", "jacobi"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 2e-15)])
def test_points_come_back_whatever_their_size(inversion: Inversion, dtype: torch.dtype, tolerance: float) -> None:
    """Trained posteriors reach |z| = 41: the error is relative to that."""
    f = Autoregressive(Autoregression(trained(dtype)), Gated(), inversion)
    for size in (1e-3, 1.0, 40.0):
        x = size * torch.randn(64, 64, dtype=dtype)
        with torch.no_grad():
            assert (f.inv(f(x)) - x).abs().max() <= tolerance * x.abs().max().clamp(min=1)


def test_iteration_ends_at_its_tolerance() -> None:
    """The looser it is the fewer passes, down from one a coordinate; the error stays near it, relative to the size."""
    passes, errors = [], []
    net, x = Autoregression(trained(torch.float64)), 40 * torch.randn(4, 64, dtype=torch.float64)
    for tolerance in (0.0, 1e-9, 1e-3):
        calls: list[Tensor] = []
        f = Autoregressive(lambda x, calls=calls: calls.append(x) or net(x), Gated(), "jacobi", tolerance)
        with torch.no_grad():
            errors.append(((f.inv(f(x)) - x) / x.abs().clamp(min=1)).abs().max())
        passes.append(len(calls) - 1)
    assert 65 > passes[0] > passes[1] > passes[2]
    assert errors[0] < 1e-13
    assert errors[0] < errors[1] < 1e-8 < errors[2] < 1e-2


def test_autocast_does_not_blur_the_inverse() -> None:
    """Nor a context that a network in half precision told: the inverse is that of the net in full precision."""
    torch.manual_seed(0)
    net, y, h = MADE(19, 3, width=40, reverse=True), torch.randn(4, 19), torch.randn(4, 3).bfloat16()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = Autoregression(net, h).solve(y.bfloat16(), Gated().inverse)
        bound = net.bind(h)
    exact = Autoregression(net, h.float())
    exact.bound = bound.float()
    assert found.dtype == torch.float32
    with torch.no_grad():
        assert_close(found, exact.solve(y.bfloat16().float(), Gated().inverse), rtol=1e-6, atol=1e-6)
