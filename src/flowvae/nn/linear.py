"""The linear layer, also of nothing."""

from torch import nn


class Linear(nn.Linear):
    """y = W x + b, ``(*, features)`` to ``(*, out)``; of no features, as without latents, it is b, at first 0.

    torch's own layer is the same, but warns of the empty W when it is built.
    """

    def reset_parameters(self) -> None:
        if self.in_features:
            super().reset_parameters()
        elif self.bias is not None:
            nn.init.zeros_(self.bias)
