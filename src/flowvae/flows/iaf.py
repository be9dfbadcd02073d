"""Inverse autoregressive flow."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Annotated, Any, Literal, cast

from pydantic import Field
from torch import Tensor, nn

from flowvae.errors import InputError
from flowvae.flows.base import Cost, Flow
from flowvae.nn import MADE, Activation, Autoregression, ConvMADE
from flowvae.precision import in_full_precision
from flowvae.registry import Count, NonNegativeFloat, register
from flowvae.transforms import Affine, Autoregressive, Composed, ConstantSigma, Gated, Inversion, Transform, Update

UPDATES: dict[str, Update] = {"affine": Affine(), "constant-sigma": ConstantSigma()}


@register("flow", "iaf")
class IAF(Flow):
    """Inverse autoregressive flow: T steps z_t = update(z_{t-1}; m_t, s_t) with (m_t, s_t) = MADE_t(z_{t-1}, h).

    - ``gated``: z_t = g z_{t-1} + (1 - g) m, g = sigmoid(s + gate_bias)
    - ``affine``: z_t = exp(s) z_{t-1} + m, with the logarithm of sigma bounded smoothly
    - ``constant-sigma``: z_t = z_{t-1} + m

    The order of the coordinates is reversed from step to step, inside the masks, unless ``reverse`` is off. log |det|
    is the sum of the updates' log-derivatives. Sampling with its density is T passes. The density of a given point
    needs an inversion: by ``blocks`` of coordinates, the work of about two passes a step; by ``jacobi`` iteration, up
    to D passes a step that end when no coordinate x of any point changes by more than ``tolerance`` max(1, |x|), which
    in a steep flow may be less than its error; ``auto`` takes what is faster for the number of points, and is exact
    but for rounding.

    An event (D,) gets a masked network, `MADE`; maps (C, H, W) get masked convolutions, `ConvMADE`, with ``kernel``
    pixels a side, and are inverted by iteration. ``residual`` networks add to every later hidden layer the one before;
    ``normed`` ones have normalised weights that start from the first batch of training. Shapes: h ``(*, context)``,
    points ``(*, D)``, D = C H W of maps.

    Reference: Kingma, Salimans, Jozefowicz, Chen, Sutskever, Welling (2016), arXiv:1606.04934.

    >>> import torch
    >>> flow = IAF((4,), 3, steps=2, width=16)
    >>> z, ladj = flow(torch.randn(5, 3)).call_and_ladj(torch.randn(5, 4))
    >>> z.shape, ladj.shape
    (torch.Size([5, 4]), torch.Size([5]))
    """

    cost = Cost(
        "T passes",
        "about two passes a step, one coordinate after the other; up to 128 points, and maps, by iteration, D at most",
    )
    maps = True

    def __init__(
        self,
        event_shape: tuple[int, ...],
        context: int = 0,
        *,
        steps: Count = 4,
        width: Count = 320,
        depth: Count = 2,
        update: Literal["gated", "affine", "constant-sigma"] = "gated",
        gate_bias: Annotated[float, Field(ge=-10, le=10, strict=True)] = 1.5,
        activation: Activation = "elu",
        reverse: bool = True,
        residual: bool = False,
        normed: bool = False,
        kernel: Count = 3,
        inversion: Inversion = "auto",
        tolerance: NonNegativeFloat = 1e-6,
    ):
        super().__init__(event_shape, context)
        self.update = Gated(gate_bias) if update == "gated" else UPDATES[update]
        self.inversion: Inversion = inversion
        self.tolerance = tolerance
        net: Callable[..., nn.Module] = partial(MADE, *self.event_shape)
        if len(self.event_shape) == 3:
            net = partial(ConvMADE, self.event_shape, kernel=kernel)
            if inversion == "blocks":
                raise InputError("expected flow.inversion = 'auto' or 'jacobi' over maps; got 'blocks': use 'auto'")
        self.nets = nn.ModuleList(
            net(
                context,
                outputs=self.update.size,
                width=width,
                depth=depth,
                activation=activation,
                reverse=reverse and t % 2 == 1,
                residual=residual,
                normed=normed,
            )
            for t in range(steps)
        )

    def forward(self, h: Tensor | None = None) -> Transform:
        bind: Callable[..., Any] = Autoregression if len(self.event_shape) == 1 else _over_maps
        nets = [bind(net, h) for net in cast(Iterable[Any], self.nets)]
        return Composed([Autoregressive(net, self.update, self.inversion, self.tolerance) for net in nets])


def _over_maps(net: ConvMADE, h: Tensor | None) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """x to (m, s) with the context bound, in float32 at least."""
    bound = net.bind(h)
    return lambda x: tuple(map(in_full_precision, net.given(x, bound)))
