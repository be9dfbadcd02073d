"""Inverse autoregressive flow."""

from collections.abc import Iterable
from functools import partial
from typing import Annotated, Literal, cast

from pydantic import Field
from torch import Tensor, nn

from flowvae.distributions import in_full_precision
from flowvae.flows.base import Flow
from flowvae.nn import MADE, Activation
from flowvae.registry import Count, register
from flowvae.transforms import Affine, Autoregressive, Composed, ConstantSigma, Gated, Transform, Update

UPDATES: dict[str, Update] = {"affine": Affine(), "constant-sigma": ConstantSigma()}


@register("flow", "iaf")
class IAF(Flow):
    """Inverse autoregressive flow: T steps z_t = update(z_{t-1}; m_t, s_t) with (m_t, s_t) = MADE_t(z_{t-1}, h).

    - ``gated``: z_t = g z_{t-1} + (1 - g) m, g = sigmoid(s + gate_bias)
    - ``affine``: z_t = exp(s) z_{t-1} + m, with the logarithm of sigma bounded smoothly
    - ``constant-sigma``: z_t = z_{t-1} + m

    The order of the coordinates is reversed from step to step, inside the masks. log |det| is the sum of the updates'
    log-derivatives. Sampling with its density is T passes; the density of a given point needs an inversion, up to D
    passes a step.

    Shapes: h ``(*, context)``, points ``(*, D)``.

    Reference: Kingma, Salimans, Jozefowicz, Chen, Sutskever, Welling (2016), arXiv:1606.04934.

    >>> import torch
    >>> flow = IAF((4,), 3, steps=2, width=16)
    >>> z, ladj = flow(torch.randn(5, 3)).call_and_ladj(torch.randn(5, 4))
    >>> z.shape, ladj.shape
    (torch.Size([5, 4]), torch.Size([5]))
    """

    def __init__(
        self,
        event_shape: tuple[int, ...],
        context: int = 0,
        *,
        steps: Count = 4,
        width: Count = 320,
        depth: Count = 2,
        update: Literal["gated", "affine", "constant-sigma"] = "gated",
        gate_bias: Annotated[float, Field(ge=-10, le=10)] = 1.5,
        activation: Activation = "elu",
        reverse: bool = True,
        residual: bool = False,
    ):
        super().__init__(event_shape, context)
        (dim,) = self.event_shape
        self.update = Gated(gate_bias) if update == "gated" else UPDATES[update]
        self.nets = nn.ModuleList(
            MADE(
                dim,
                context,
                outputs=self.update.size,
                width=width,
                depth=depth,
                activation=activation,
                reverse=reverse and t % 2 == 1,
                residual=residual,
            )
            for t in range(steps)
        )

    def forward(self, h: Tensor | None = None) -> Transform:
        steps = [partial(_full, net, net.bind(h)) for net in cast(Iterable[MADE], self.nets)]
        return Composed([Autoregressive(step, self.update) for step in steps])


def _full(net: MADE, bound: Tensor | None, x: Tensor) -> tuple[Tensor, ...]:
    return tuple(map(in_full_precision, net.given(x, bound)))
