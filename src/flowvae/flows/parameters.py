"""The parameters of a flow without networks: shared by all data, or amortised."""

from typing import Literal

import torch
from torch import Tensor, nn

from flowvae.distributions import in_full_precision
from flowvae.errors import InputError
from flowvae.nn.context import required

Sharing = Literal["auto", "amortised", "shared"]


class Parameters(nn.Module):
    """phi(h) ``(*, N)``: ``amortised``, linear in the context, or ``shared``; ``auto`` amortises if there is a context.

    Amortised or not, phi begins at ``start`` ``(N,)``: data start from one common flow, and differ from it by the
    little that the context adds. The attribute ``context`` is 0 when shared. Raises `InputError` for amortised
    parameters without a context.
    """

    def __init__(self, start: Tensor, context: int, sharing: Sharing):
        super().__init__()
        if sharing == "amortised" and not context:
            raise InputError("expected a context for amortised parameters; got none: use parameters = 'shared'")
        self.context = 0 if sharing == "shared" else context
        self.start = nn.Parameter(start)
        self.amortised = nn.Linear(context, len(start), bias=False) if self.context else None
        if self.amortised is not None:
            with torch.no_grad():
                self.amortised.weight.mul_(0.1)

    def forward(self, h: Tensor | None = None) -> Tensor:
        return self.start if self.amortised is None else self.start + in_full_precision(self.amortised(required(h)))
