"""Masked autoregressive flow."""

from typing import Literal

from torch import Tensor

from flowvae import registry
from flowvae.flows.base import Cost, Flow
from flowvae.nn import Activation
from flowvae.registry import Count, NonNegativeFloat, register
from flowvae.transforms import Inverse, Inversion, Transform


@register("flow", "maf")
class MAF(Flow):
    """Masked autoregressive flow: the inverse of an inverse autoregressive flow, x_i = (y_i - m_i) / sigma_i.

    (m, sigma) of a coordinate depend on the *results* of those before it. So points that are given are scored in one
    pass of each network, and drawing goes from coordinate to coordinate; `iaf` is the other way round, and the better
    posterior. The options are those of `iaf`, but for its gated update.

    Shapes: h ``(*, context)``, points ``(*, D)``, D = C H W of maps.

    Reference: Papamakarios, Pavlakou, Murray (2017), arXiv:1705.07057.
    """

    cost = Cost(
        "about two passes a step, one coordinate after the other; up to 128 points, and maps, by iteration, D at most",
        "T passes",
    )
    maps = True
    scores = True

    def __init__(
        self,
        event_shape: tuple[int, ...],
        context: int = 0,
        *,
        steps: Count = 4,
        width: Count = 320,
        depth: Count = 2,
        update: Literal["affine", "constant-sigma"] = "affine",
        activation: Activation = "elu",
        reverse: bool = True,
        residual: bool = False,
        normed: bool = False,
        kernel: Count = 3,
        inversion: Inversion = "auto",
        tolerance: NonNegativeFloat = 1e-6,
    ):
        super().__init__(event_shape, context)
        options = {
            "steps": steps,
            "width": width,
            "depth": depth,
            "update": update,
            "activation": activation,
            "reverse": reverse,
            "residual": residual,
            "normed": normed,
            "kernel": kernel,
            "inversion": inversion,
            "tolerance": tolerance,
        }
        self.iaf = registry.build("flow", {"name": "iaf"} | options, event_shape, context)

    def forward(self, h: Tensor | None = None) -> Transform:
        return Inverse(self.iaf(h))
