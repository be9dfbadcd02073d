"""Affine coupling flow."""

from collections.abc import Iterable
from typing import Literal, cast

import torch
from torch import Tensor, nn

from flowvae import registry
from flowvae.errors import InputError
from flowvae.flows.base import Cost, Flow
from flowvae.nn import Activation, Conditioned
from flowvae.registry import Count, Positive, register
from flowvae.transforms import Affine, Composed, ConstantSigma, Coupling, Transform, Update


@register("flow", "realnvp")
class RealNVP(Flow):
    """Affine coupling flow: T steps in which every other coordinate stays, and decides how the rest move.

    y_i = x_i for the kept half, y_i = exp(s_i) x_i + m_i for the other, with (m, s) = net(kept half, h) and |s| <
    ``bound`` by a smooth bound; ``additive`` couplings have no s, and preserve volume (NICE). The halves take turns.
    log |det| is the sum of s. It starts as the identity.

    With ``mixing``, an invertible linear map (`lu`) comes before every coupling, and with ``actnorm`` an activation
    normalisation before that: with both it is Glow, for vectors.

    Shapes: h ``(*, context)``, points ``(*, D)``. Raises `InputError` in one dimension, which has no half.

    Reference: Dinh, Sohl-Dickstein, Bengio (2017), arXiv:1605.08803; Dinh, Krueger, Bengio (2015), arXiv:1410.8516;
    Kingma and Dhariwal (2018), arXiv:1807.03039.
    """

    cost = Cost("T passes", "T passes")
    even: Tensor

    def __init__(
        self,
        event_shape: tuple[int, ...],
        context: int = 0,
        *,
        steps: Count = 8,
        width: Count = 64,
        depth: Count = 2,
        update: Literal["affine", "additive"] = "affine",
        bound: Positive = 5.0,
        activation: Activation = "elu",
        mixing: bool = False,
        actnorm: bool = False,
    ):
        super().__init__(event_shape, context)
        (dim,) = self.event_shape
        if dim < 2:
            raise InputError("expected two coordinates to couple; got one: use another flow, such as 'iaf'")
        self.update: Update = Affine(bound) if update == "affine" else ConstantSigma()
        self.register_buffer("even", torch.arange(dim) % 2 == 0, persistent=False)
        before = ["actnorm"] * actnorm + ["lu"] * mixing
        self.before = nn.ModuleList(
            nn.ModuleList(registry.build("flow", name, event_shape, 0) for name in before) for _ in range(steps)
        )
        self.nets = nn.ModuleList(
            Conditioned(dim, self.update.size * dim, context, width=width, depth=depth, activation=activation)
            for _ in range(steps)
        )

    def forward(self, h: Tensor | None = None) -> Transform:
        parts: list[Transform] = []
        for t, (before, net) in enumerate(zip(self.before, self.nets, strict=True)):
            parts += [flow() for flow in cast(Iterable[Flow], before)]
            parts.append(self._coupling(t, cast(Conditioned, net), h))
        return Composed(parts)

    def _coupling(self, t: int, net: Conditioned, h: Tensor | None) -> Transform:
        parameters = net.under(h)
        kept = self.even if t % 2 == 0 else ~self.even
        return Coupling(lambda x: parameters(x).chunk(self.update.size, -1), self.update, kept)
