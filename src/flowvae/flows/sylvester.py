"""Sylvester flow."""

from functools import reduce
from typing import Literal

import torch
from torch import Tensor

from flowvae.errors import InputError
from flowvae.flows.base import Cost, Flow
from flowvae.flows.parameters import Parameters, Sharing
from flowvae.registry import Count, NonNegative, register
from flowvae.transforms import Composed, Reflected, SylvesterTransform, Transform

Form = Literal["orthogonal", "householder", "triangular"]


@register("flow", "sylvester")
class Sylvester(Flow):
    """Sylvester flow: K steps z_k = z_{k-1} + Q R tanh(S Q^T z_{k-1} + b), a planar step of M units at once.

    R and S ``(M, M)`` are upper triangular, their diagonals within (-1, 1), which makes every step invertible. The
    columns of Q ``(D, M)`` are orthonormal by one of three forms:

    - ``orthogonal``: the factor of a QR decomposition, of M = ``columns`` columns, 0 for D. (The paper's iteration is
      orthonormal in the limit only.)
    - ``householder``: the product of ``reflections`` reflections, M = D.
    - ``triangular``: the identity and the reversal of the coordinates in turn, M = D.

    (Q, R, S, b) are ``amortised``, linear in the context, or ``shared`` by all data; ``auto`` is amortised where there
    is a context. log |det| = sum_k sum_i log(1 + R_ii S_ii (1 - tanh^2)).

    Shapes: h ``(*, context)``, points ``(*, D)``. Raises `InputError` for more columns than coordinates, for
    ``columns`` of another form than the first, and for amortised parameters without a context.

    Reference: van den Berg, Hasenclever, Tomczak, Welling (2018), arXiv:1803.05649; S is their R with a tilde.
    """

    cost = Cost("1 pass", "1 pass, and the roots of M scalar equations a step, one after the other")
    upper: Tensor

    def __init__(
        self,
        event_shape: tuple[int, ...],
        context: int = 0,
        *,
        steps: Count = 4,
        form: Form = "orthogonal",
        columns: NonNegative = 0,
        reflections: Count = 8,
        parameters: Sharing = "auto",
    ):
        super().__init__(event_shape, context)
        (self.dim,) = self.event_shape
        if columns > self.dim:
            raise InputError(f"expected at most {self.dim} columns, as there are coordinates; got {columns}: use fewer")
        self.form, self.steps = form, steps
        if columns and form != "orthogonal":
            raise InputError(
                f"expected no columns with form = {form!r}, which has {self.dim}; got {columns}: leave it out"
            )
        self.columns = columns or self.dim
        of_q = {"orthogonal": self.dim * self.columns, "householder": self.dim * reflections, "triangular": 0}[form]
        self.register_buffer("upper", torch.triu_indices(self.columns, self.columns, 1), persistent=False)
        strict = self.upper.shape[1]
        self.sizes = [of_q, strict, strict, self.columns, self.columns, self.columns]
        start = torch.randn(steps, sum(self.sizes))
        _, r, _, diagonal_of_r, _, b = start.split(self.sizes, -1)
        for small in (r, diagonal_of_r):  # the flow begins close to the identity
            small.mul_(0.01)
        b.zero_()
        self.phi = Parameters(start.flatten(), context, parameters)
        self.context = self.phi.context

    def forward(self, h: Tensor | None = None) -> Transform:
        steps = self.phi(h).unflatten(-1, (self.steps, -1)).unbind(-2)
        return Composed([self._step(k, phi) for k, phi in enumerate(steps)])

    def _step(self, k: int, phi: Tensor) -> Transform:
        q, r, s, diagonal_of_r, diagonal_of_s, b = phi.split(self.sizes, -1)
        r, s = self._triangle(r, diagonal_of_r), self._triangle(s, diagonal_of_s)
        return SylvesterTransform(self._orthonormal(k, q), r, s, b)

    def _triangle(self, strict: Tensor, diagonal: Tensor) -> Tensor:
        """An upper triangular matrix, its rows near 1 in length however long: strict / sqrt(M) beside the diagonal.

        That stays within (-1, 1), where tanh is rounded too.
        """
        below_one = 1 - 4 * torch.finfo(diagonal.dtype).eps
        matrix = torch.diag_embed(below_one * torch.tanh(diagonal))
        rows, columns = self.upper
        place, entries = rows * self.columns + columns, strict / self.columns**0.5
        return matrix.flatten(-2).index_copy(-1, place, entries).unflatten(-1, matrix.shape[-2:])

    def _orthonormal(self, k: int, phi: Tensor) -> Tensor:
        """Q of step k ``(*, D, M)``."""
        identity = torch.eye(self.dim, dtype=phi.dtype, device=phi.device)
        if self.form == "triangular":
            return identity if k % 2 == 0 else identity.flip(0)
        vectors = phi.unflatten(-1, (-1, self.dim))
        if self.form == "householder":
            return reduce(lambda q, v: Reflected(v[..., None, :])(q), vectors.unbind(-2), identity)
        q, r = torch.linalg.qr(identity[:, : self.columns] + vectors.mT)
        # of the two signs that a column may have, the one that changes smoothly
        return q * torch.where(r.diagonal(dim1=-2, dim2=-1) < 0, -1, 1)[..., None, :]
