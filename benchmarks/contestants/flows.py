"""The same autoregressive flow by each library, by its own public interface and with its own affine step."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.contestants import Place
from benchmarks.settings import Settings
from flowvae import registry


@dataclass(frozen=True)
class Flow:
    """Steps that alternate in order: ``fast`` maps x to y and log |det|, one pass a step; ``slow`` maps y to x."""

    module: nn.Module
    fast: Callable[[Tensor], tuple[Tensor, Tensor]]
    slow: Callable[[Tensor], Tensor]


def invert(place: Place, *, library: str, points: int, bf16: bool = False, inversion: str = "") -> None:
    """The slow direction of ``points`` points that came from the fast one, without gradients."""
    flow = built(place.settings, library, inversion)
    with torch.inference_mode(), precision(bf16):
        y, _ = flow.fast(torch.randn(points, place.settings.flow_dim))
        while True:
            place.gate(points)
            flow.slow(y.float())


def forward_backward(place: Place, *, library: str, points: int, bf16: bool = False, compiled: bool = False) -> None:
    """The fast direction of ``points`` points, and the gradients of a loss to them and to all parameters."""
    flow = built(place.settings, library)
    start = torch.randn(points, place.settings.flow_dim)

    def loss_of(x: Tensor) -> Tensor:
        y, ladj = flow.fast(x)
        return (0.5 * y.square().sum(-1) - ladj).mean()

    run = torch.compile(loss_of) if compiled and place.settings.compiled else loss_of
    while True:
        place.gate(points)
        with precision(bf16):
            loss = run(start.clone().requires_grad_())  # anew, since pyro remembers what it has seen
        loss.backward()
        flow.module.zero_grad()


def precision(bf16: bool) -> torch.autocast | nullcontext[None]:
    return torch.autocast("cpu", torch.bfloat16) if bf16 else nullcontext()


def built(settings: Settings, library: str, inversion: str = "") -> Flow:
    """The flow of the settings by ``library``; ``inversion`` is an option of ours."""
    return flowvae(settings, inversion or "auto") if library == "flowvae" else LIBRARIES[library](settings)


def flowvae(s: Settings, inversion: str) -> Flow:
    """Outputs scaled to vary by about 1, as trained ones do: iteration would otherwise end early."""
    options = {"steps": s.steps, "width": s.flow_width, "activation": "relu", "update": "affine"}
    flow = registry.build("flow", {"name": "iaf", "inversion": inversion} | options, (s.flow_dim,), 0)
    with torch.no_grad():
        for net in flow.nets:
            net.out.weight.mul_(10)
    return Flow(flow, lambda x: flow().call_and_ladj(x), lambda y: flow().inv(y))


def zuko(s: Settings) -> Flow:
    from zuko.flows import MAF

    flow = MAF(s.flow_dim, transforms=s.steps, hidden_features=(s.flow_width,) * 2, activation=nn.ReLU)
    return Flow(flow, lambda x: flow().transform.call_and_ladj(x), lambda y: flow().transform.inv(y))


def nflows(s: Settings) -> Flow:
    from nflows.transforms import CompositeTransform, MaskedAffineAutoregressiveTransform, ReversePermutation

    parts: list[nn.Module] = []
    for _ in range(s.steps):
        parts.append(
            MaskedAffineAutoregressiveTransform(s.flow_dim, s.flow_width, num_blocks=1, use_residual_blocks=False)
        )
        parts.append(ReversePermutation(s.flow_dim))
    flow = CompositeTransform(parts)
    return Flow(flow, flow, lambda y: flow.inverse(y)[0])


def normflows(s: Settings) -> Flow:
    from normflows.flows import MaskedAffineAutoregressive

    steps = nn.ModuleList(
        MaskedAffineAutoregressive(s.flow_dim, s.flow_width, num_blocks=1, use_residual_blocks=False)
        for _ in range(s.steps)
    )

    def fast(x: Tensor) -> tuple[Tensor, Tensor]:
        total = x.new_zeros(len(x))
        for step in steps:
            x, ladj = step(x.flip(-1))
            total = total + ladj
        return x, total

    def slow(y: Tensor) -> Tensor:
        for step in reversed(steps):
            y = step.inverse(y)[0].flip(-1)
        return y

    return Flow(steps, fast, slow)


def pyro(s: Settings) -> Flow:
    """Its cache would return the x that belongs to a y seen before; `_inverse` computes it."""
    from pyro.distributions.transforms import AffineAutoregressive
    from pyro.nn import AutoRegressiveNN

    order = torch.arange(s.flow_dim)
    steps = nn.ModuleList(
        AffineAutoregressive(
            AutoRegressiveNN(s.flow_dim, [s.flow_width] * 2, permutation=order.flip(0) if t % 2 else order)
        )
        for t in range(s.steps)
    )

    def fast(x: Tensor) -> tuple[Tensor, Tensor]:
        total = x.new_zeros(len(x))
        for step in steps:
            y = step(x)
            total = total + step.log_abs_det_jacobian(x, y)
            x = y
        return x, total

    def slow(y: Tensor) -> Tensor:
        for step in reversed(steps):
            y = step._inverse(y)
        return y

    return Flow(steps, fast, slow)


def pythae(s: Settings) -> Flow:
    from pythae.models.normalizing_flows import IAF, IAFConfig

    shape = {"input_dim": (s.flow_dim,), "n_made_blocks": s.steps, "n_hidden_in_made": 2, "hidden_size": s.flow_width}
    flow = IAF(IAFConfig(**shape))

    def fast(x: Tensor) -> tuple[Tensor, Tensor]:
        out = flow.inverse(x)  # the direction that samples
        return out.out, out.log_abs_det_jac

    return Flow(flow, fast, lambda y: flow(y).out)


LIBRARIES = {"zuko": zuko, "nflows": nflows, "normflows": normflows, "pyro": pyro, "pythae": pythae}
