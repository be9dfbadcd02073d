"""Autoregressive networks over maps: the exact pattern of what sees what."""

import re

import pytest
import torch
from torch import Tensor
from torch.autograd.functional import jacobian
from torch.testing import assert_close

from flowvae import InputError, registry
from flowvae.nn import MADE, ConvMADE, starting
from flowvae.nn.normed import Normed, NormedConv
from tests.laws.catalogue import generic

EVENT = (2, 3, 4)


def rank(event: tuple[int, ...], reverse: bool) -> Tensor:
    """The place of every coordinate of the flattened map in the order: by rows, pixels, channels."""
    channels, height, width = event
    place = torch.arange(channels * height * width).reshape(height, width, channels).permute(2, 0, 1).flatten()
    return place.flip(0).max() - place if reverse else place


def sees(net: ConvMADE, event: tuple[int, ...]) -> Tensor:
    """Whether output i moves with x_j, at random weights: ``(outputs, D, D)``."""
    x = torch.randn(torch.Size(event).numel(), dtype=torch.float64)
    return torch.stack([jacobian(lambda x, k=k: net(x)[k], x) != 0 for k in range(net.outputs)])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize(("depth", "residual"), [(1, False), (2, False), (2, True)])
@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("normed", [False, True])
def test_an_output_sees_what_precedes_it_and_nothing_else(
    normed: bool, channels: int, depth: int, residual: bool, kernel: int, reverse: bool
) -> None:
    """Zeros exactly where the order says; all that a kernel reaches in one step is seen."""
    event = (channels, 3, 4)
    options = {"depth": depth, "kernel": kernel, "reverse": reverse, "residual": residual, "normed": normed}
    net = generic(ConvMADE(event, width=12, **options))
    place = rank(event, reverse)
    precedes = place[None, :] < place[:, None]
    found = sees(net, event)
    assert not found[:, ~precedes].any()
    pixel = place.div(channels, rounding_mode="floor")
    height, width = pixel.div(4, rounding_mode="floor"), pixel % 4
    down, right = (height[:, None] - height).abs(), (width[:, None] - width).abs()
    near = precedes & (down <= kernel // 2) & (right <= kernel // 2)
    assert found[:, near].all()
    reach = (depth + 1) * (kernel // 2)
    assert not found[:, (down > reach) | (right > reach)].any()


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_a_flow_over_maps_sees_as_far_as_its_kernel(kernel: int) -> None:
    """One step of one hidden layer: two convolutions, each of half a kernel's reach."""
    flow = generic(
        registry.build("flow", {"name": "iaf", "steps": 1, "width": 6, "depth": 1, "kernel": kernel}, (1, 6, 7))
    )
    moved = jacobian(flow().__call__, torch.randn(42, dtype=torch.float64)).reshape(6, 7, 6, 7) != 0
    rows, columns = torch.arange(6), torch.arange(7)
    reach = max(
        int((rows[:, None] - rows).abs()[moved.any(3).any(1)].max()),
        int((columns[:, None] - columns).abs()[moved.any(2).any(0)].max()),
    )
    assert reach == 2 * (kernel // 2)


@pytest.mark.parametrize("reverse", [False, True])
def test_the_context_is_seen_from_everywhere_around(reverse: bool) -> None:
    net = generic(ConvMADE(EVENT, 2 * 12, width=12, reverse=reverse))
    x, h = torch.randn(24, dtype=torch.float64), torch.randn(24, dtype=torch.float64)
    found = jacobian(lambda h: net(x, h)[0], h).reshape(*EVENT, *EVENT) != 0
    assert found[:, 1, 1, :, :3, :3].all()


def test_the_order_is_reversed_from_step_to_step() -> None:
    """One step is triangular; two of opposite order are not, and their Jacobian is the product of two triangles."""
    place = rank(EVENT, False).argsort()
    x = torch.randn(24, dtype=torch.float64)
    for steps, triangular in ((1, True), (2, False)):
        flow = generic(registry.build("flow", {"name": "iaf", "steps": steps, "width": 12}, EVENT, 0))
        matrix = jacobian(lambda x, flow=flow: flow(None)(x), x)[place][:, place]
        assert (matrix.triu(1) == 0).all() == triangular


@pytest.mark.parametrize("update", ["gated", "affine", "constant-sigma"])
def test_the_log_determinant_is_that_of_the_jacobian(update: str) -> None:
    flow = generic(registry.build("flow", {"name": "iaf", "steps": 3, "width": 12, "update": update}, EVENT, 24))
    x, h = torch.randn(24, dtype=torch.float64), torch.randn(24, dtype=torch.float64)
    transform = flow(h)
    _, expected = torch.linalg.slogdet(jacobian(transform, x))
    assert_close(transform.call_and_ladj(x)[1], expected, rtol=1e-10, atol=1e-10)
    assert_close(transform.inv(transform(x)), x, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("reverse", [False, True])
def test_normed_kernels_start_from_data(reverse: bool) -> None:
    """Mean 0 behind every layer, standard deviation 1, and 0.1 of the outputs, on the first batch that comes."""
    net = ConvMADE(EVENT, 12, width=12, reverse=reverse, normed=True).double()
    x, h = 3 + 5 * torch.randn(2000, 24, dtype=torch.float64), torch.randn(2000, 12, dtype=torch.float64)
    found: dict[str, Tensor] = {}
    for name, module in net.named_modules():
        if isinstance(module, NormedConv):
            module.register_forward_hook(lambda module, inputs, y, name=name: found.update({name: y}))
    with starting(net):
        net(x, h)
    assert found.keys() == {"context", "hidden.0", "hidden.1", "out"}
    for name, y in found.items():
        spread, mean = torch.std_mean(y, (0, 2, 3), correction=0)
        assert_close(mean, torch.zeros_like(mean), rtol=0, atol=1e-9)
        assert_close(spread, torch.full_like(spread, 0.1 if name == "out" else 1.0), rtol=1e-9, atol=0)


def test_a_normed_net_is_the_plain_one_until_it_starts() -> None:
    """With the weights of the plain net and their lengths as gains, over maps and over vectors."""
    nets = {normed: ConvMADE(EVENT, 24, width=12, normed=normed).double() for normed in (False, True)}
    vectors = {normed: MADE(9, 3, width=12, reverse=True, normed=normed).double() for normed in (False, True)}
    for (plain, normed), context in (((nets[False], nets[True]), 24), ((vectors[False], vectors[True]), 3)):
        with torch.no_grad():
            for name, layer in normed.named_modules():
                if isinstance(layer, Normed):
                    theirs = plain.get_submodule(name)
                    layer.direction.copy_(theirs.weight)
                    layer.gain.copy_((theirs.weight * getattr(theirs, "mask", 1)).flatten(1).norm(dim=1))
                    layer.bias.zero_() if theirs.bias is None else layer.bias.copy_(theirs.bias)
        size = 24 if context == 24 else 9
        x, h = torch.randn(2, 5, size, dtype=torch.float64), torch.randn(5, context, dtype=torch.float64)
        assert_close(normed(x, h), plain(x, h), rtol=1e-9, atol=1e-9)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match=r"expected an odd kernel; got 2: use 3"):
        ConvMADE(EVENT, kernel=2)
    with pytest.raises(InputError, match=r"expected a context of maps 3 x 4; got 5 features"):
        ConvMADE(EVENT, 5)
    with pytest.raises(InputError, match=r"expected vectors \(D,\); got maps \(2, 3, 4\): use flow.name = 'iaf'"):
        registry.build("flow", "planar", EVENT, 0)
    for event in ((), (3, 4), (1, 2, 3, 4)):
        got = re.escape(str(event))
        with pytest.raises(InputError, match=rf"expected vectors \(D,\); got {got}: flatten the event$"):
            registry.build("flow", "planar", event, 0)
        with pytest.raises(InputError, match=rf"expected vectors \(D,\) or maps \(C, H, W\); got {got}: flatten"):
            registry.build("flow", "iaf", event, 0)
    with pytest.raises(InputError, match=r"got 'blocks': use 'auto'"):
        registry.build("flow", {"name": "iaf", "inversion": "blocks"}, EVENT, 0)
