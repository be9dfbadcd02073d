"""Linear flow by a triangular factorisation."""

from typing import Literal

import torch
from torch import Tensor, nn

from flowvae.flows.base import Cost, Flow
from flowvae.registry import register
from flowvae.transforms import LU, Composed, Permuted, Transform

BOUND = 5.0


@register("flow", "lu")
class LULinear(Flow):
    """Invertible linear map y = P L U x: the 1x1 convolution of Glow, for vectors.

    P is a fixed permutation, L lower triangular of unit diagonal, U upper triangular with diagonal sign exp(s), its
    signs fixed and |s| < 5 by a smooth bound: log |det| = sum_i s_i. It starts as a random ``rotation``, factorised,
    or as the ``identity``. All data share it; it ignores the context.

    Shapes: points ``(*, D)``.

    Reference: Kingma and Dhariwal (2018), arXiv:1807.03039.
    """

    cost = Cost("1 pass", "1 pass, by substitution")
    order: Tensor
    sign: Tensor

    def __init__(
        self, event_shape: tuple[int, ...], context: int = 0, *, start: Literal["rotation", "identity"] = "rotation"
    ):
        super().__init__(event_shape, 0)
        (dim,) = self.event_shape
        matrix = torch.linalg.qr(torch.randn(dim, dim))[0] if start == "rotation" else torch.eye(dim)
        permutation, lower, upper = torch.linalg.lu(matrix)
        diagonal = upper.diagonal()
        self.register_buffer("order", permutation.argmax(1))
        self.register_buffer("sign", diagonal.sign())
        self.lower = nn.Parameter(lower.tril(-1))
        self.upper = nn.Parameter(upper.triu(1))
        self.s = nn.Parameter(BOUND * torch.atanh(diagonal.abs().log().clamp(-0.9 * BOUND, 0.9 * BOUND) / BOUND))

    def forward(self, h: Tensor | None = None) -> Transform:
        lower = self.lower.tril(-1) + torch.eye(len(self.s), dtype=self.s.dtype, device=self.s.device)
        upper = self.upper.triu(1) + torch.diag(self.sign * torch.exp(BOUND * torch.tanh(self.s / BOUND)))
        return Composed([LU(lower, upper), Permuted(self.order)])
