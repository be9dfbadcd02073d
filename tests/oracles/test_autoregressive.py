"""Exactly what depends on exactly what, in the network, in a step and in the flow."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd.functional import jacobian

from flowvae import InputError, registry
from flowvae.nn import MADE
from flowvae.transforms import Affine, Autoregressive, ConstantSigma, Gated, Update
from tests.laws.catalogue import generic

DIMS = (1, 2, 3, 8)
CONTEXTS = (0, 2)
SHAPES = [(dim, width, depth) for dim in DIMS for width, depth in ((8, 1), (13, 2), (40, 3))]
shapes = pytest.mark.parametrize(("dim", "width", "depth"), SHAPES)
contexts = pytest.mark.parametrize("context", CONTEXTS)
orders = pytest.mark.parametrize("reverse", [False, True])


def preceding(dim: int, reverse: bool) -> Tensor:
    """Entry (i, j) is True where j precedes i."""
    before = torch.ones(dim, dim).tril(-1).bool()
    return before.flip(0, 1) if reverse else before


def made(
    dim: int, context: int, width: int, depth: int, reverse: bool, **options: Any
) -> tuple[MADE, Tensor | None, Tensor]:
    # softplus, unlike elu and relu, has no flat part: what may depend does
    net = MADE(dim, context, width=width, depth=depth, activation="softplus", reverse=reverse, **options)
    h = torch.randn(context, dtype=torch.float64) if context else None
    return generic(net), h, torch.randn(dim, dtype=torch.float64)


@shapes
@contexts
@orders
def test_made_sees_all_that_precedes_and_nothing_else(
    dim: int, width: int, depth: int, context: int, reverse: bool
) -> None:
    """Exact zeros on and above the diagonal; below it, no entry is zero. So for m and for s, in either order."""
    for residual in (False, True)[: min(depth, 2)]:
        net, h, x = made(dim, context, width, depth, reverse, residual=residual)
        for output in jacobian(lambda x, net=net, h=h: net(x, h), x):
            assert torch.equal(output != 0, preceding(dim, reverse))


@pytest.mark.parametrize("bias", [-1.0, 2.5])
def test_the_gate_of_a_flow_opens_at_its_bias(bias: float) -> None:
    """Where the nets say nothing, every coordinate of every step is scaled by sigmoid(bias)."""
    flow = registry.build("flow", {"name": "iaf", "steps": 3, "width": 8, "gate_bias": bias}, (4,), 0)
    for net in flow.nets:
        for parameter in net.out.parameters():
            torch.nn.init.zeros_(parameter)
    _, ladj = flow().call_and_ladj(torch.randn(4))
    assert ladj.item() == pytest.approx(3 * 4 * torch.nn.functional.logsigmoid(torch.tensor(bias)).item(), rel=1e-6)


def test_a_residual_layer_adds_to_the_one_before_it() -> None:
    net, _, x = made(3, 0, 8, 2, False, residual=True)
    first = net.activation(net.hidden[0](x))
    expected = net.out(first + net.activation(net.hidden[1](first)))
    torch.testing.assert_close(torch.cat(net(x)), expected, rtol=1e-12, atol=1e-12)
    with pytest.raises(InputError, match="expected two hidden layers"):
        made(3, 0, 8, 1, False, residual=True)


@shapes
@orders
def test_made_sees_all_of_the_context_everywhere(dim: int, width: int, depth: int, reverse: bool) -> None:
    net, h, x = made(dim, 2, width, depth, reverse)
    for output in jacobian(lambda h: net(x, h), h):
        assert (output != 0).all()


@pytest.mark.parametrize("update", [Gated(), Affine(), ConstantSigma()], ids=repr)
@contexts
@orders
def test_a_step_is_triangular_with_a_positive_diagonal(update: Update, context: int, reverse: bool) -> None:
    """The Jacobian has exact zeros above the diagonal of the order, and its diagonal is the update's derivative."""
    net, h, x = made(8, context, 13, 2, reverse, outputs=update.size)
    step = Autoregressive(lambda x: net(x, h), update)
    derivative = jacobian(step, x)
    assert torch.equal(derivative != 0, preceding(8, reverse) | torch.eye(8).bool())
    assert (derivative.diagonal() > 0).all()
    torch.testing.assert_close(derivative.diagonal().log(), step.call_and_ladjs(x)[1], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("reverse", "full"), [(True, True), (False, False)])
def test_reversal_in_every_second_step_lets_everything_depend_on_everything(reverse: bool, full: bool) -> None:
    options = {"steps": 2, "width": 16, "reverse": reverse, "activation": "softplus"}
    flow = generic(registry.build("flow", {"name": "iaf"} | options, (5,), 0))
    derivative = jacobian(flow(), torch.randn(5, dtype=torch.float64))
    assert bool((derivative != 0).all()) is full
    assert full or torch.equal(derivative.triu(1), torch.zeros(5, 5, dtype=torch.float64))


@pytest.mark.parametrize("width", [1, 2, 5])
def test_a_narrow_net_stays_autoregressive(width: int) -> None:
    """Fewer units than dimensions cannot see everything; what they see still precedes."""
    for context in CONTEXTS:
        net, h, x = made(8, context, width, 2, False)
        for output in jacobian(lambda x, net=net, h=h: net(x, h), x):
            assert not (output != 0)[~preceding(8, False)].any()


@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_the_inverse_is_found_one_coordinate_at_a_time(scale: float) -> None:
    """Against the definition: solve for one coordinate after the other, where iterates not yet due run away."""
    net, _, _ = made(16, 0, 12, 2, True)
    with torch.no_grad():
        net.out.weight.mul_(scale)
    step = Autoregressive(net, Gated())
    y = step(torch.randn(4, 16, dtype=torch.float64)).detach()
    x = torch.zeros_like(y)
    for i in reversed(range(16)):
        m, s = net(x)
        x[:, i] = step.update.inverse(y, m, s)[:, i].detach()
    torch.testing.assert_close(step.inv(y), x, rtol=1e-9, atol=1e-9)
    gradient = torch.autograd.grad(step.inv(y.requires_grad_()).sum(), y)[0]
    assert torch.isfinite(gradient).all()
