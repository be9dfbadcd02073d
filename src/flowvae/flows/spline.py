"""Neural spline flow."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from flowvae.errors import InputError
from flowvae.flows.base import Cost, Flow
from flowvae.nn import MADE, Activation, Autoregression, Conditioned
from flowvae.registry import Count, Positive, register
from flowvae.transforms import Autoregressive, Composed, Coupling, Spline, Transform

REACH = 1e6
"""How far the nets see: points of any size leave their outputs, and gradients, finite in single precision."""


@register("flow", "spline")
class NeuralSpline(Flow):
    """Neural spline flow: T steps that bend every coordinate by a monotone rational-quadratic spline of K ``bins``.

    - ``autoregressive``: the spline of a coordinate depends on those before it, through MADE; the order is reversed
      from step to step. One pass in the direction of drawing, and the work of about two in the other.
    - ``coupling``: every other coordinate stays, and decides how the rest are bent; the two halves take turns. One pass
      in either direction.

    Splines act on [-``bound``, ``bound``] and leave points beyond as they are; nets see what is beyond 1e6 as if it
    were there. The flow starts as the identity.

    Shapes: h ``(*, context)``, points ``(*, D)``. Raises `InputError` for couplings of fewer than two coordinates.

    Reference: Durkan, Bekasov, Murray, Papamakarios (2019), arXiv:1906.04032.

    >>> import torch
    >>> flow = NeuralSpline((4,), 3, steps=2, width=16)
    >>> x = torch.randn(5, 4)
    >>> y, ladj = flow(torch.randn(5, 3)).call_and_ladj(x)
    >>> torch.allclose(y, x, atol=1e-5), ladj.shape
    (True, torch.Size([5]))
    """

    cost = Cost("T passes", "T passes by coupling, else about two passes a step, one coordinate after the other")
    even: Tensor

    def __init__(
        self,
        event_shape: tuple[int, ...],
        context: int = 0,
        *,
        form: Literal["autoregressive", "coupling"] = "autoregressive",
        steps: Count = 4,
        bins: Annotated[int, Field(ge=2, le=256, strict=True)] = 8,
        bound: Positive = 5.0,
        width: Count = 64,
        depth: Count = 2,
        activation: Activation = "elu",
    ):
        super().__init__(event_shape, context)
        (dim,) = self.event_shape
        self.spline = Spline(bins, bound)
        self.form = form
        if form == "coupling" and dim < 2:
            raise InputError("expected two coordinates to couple; got one: use form = 'autoregressive'")
        self.register_buffer("even", torch.arange(dim) % 2 == 0, persistent=False)
        self.nets = nn.ModuleList(self._net(dim, t, width, depth, activation) for t in range(steps))

    def _net(self, dim: int, t: int, width: int, depth: int, activation: Activation) -> nn.Module:
        """The net of step t."""
        if self.form == "coupling":
            out = self.spline.size * dim
            return Conditioned(dim, out, self.context, width=width, depth=depth, activation=activation)
        net = MADE(
            dim,
            self.context,
            outputs=self.spline.size,
            width=width,
            depth=depth,
            activation=activation,
            reverse=t % 2 == 1,
        )
        for parameter in net.out.parameters():
            nn.init.zeros_(parameter)
        return net

    def forward(self, h: Tensor | None = None) -> Transform:
        return Composed([self._step(t, net, h) for t, net in enumerate(self.nets)])

    def _step(self, t: int, net: nn.Module, h: Tensor | None) -> Transform:
        if isinstance(net, MADE):
            return Autoregressive(Autoregression(net, h, REACH), self.spline)
        assert isinstance(net, Conditioned)
        parameters = net.under(h)
        kept = self.even if t % 2 == 0 else ~self.even
        return Coupling(lambda x: parameters(x.clamp(-REACH, REACH)).chunk(self.spline.size, -1), self.spline, kept)
