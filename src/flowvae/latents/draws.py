"""The ways to draw the latents of a walk."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.distributions import Distribution

from flowvae.distributions import Reparameterised, rsample_and_log_prob, sample_and_log_prob
from flowvae.latents.base import Draw, Latent


@dataclass(frozen=True)
class FromPosterior:
    """z ~ q(z | x, c): inference. ``noise(n, shape)`` may supply the standard-normal noise of group n.

    With ``terms`` the groups hold log q coordinate by coordinate too, where it is a sum of such terms.
    """

    noise: Callable[[int, torch.Size], Tensor] | None = None
    terms: bool = False

    def __call__(self, n: int, p: Distribution, q: Callable[[], Distribution]) -> Latent:
        posterior, noise = q(), partial(self.noise, n) if self.noise else None
        if self.terms and isinstance(posterior, Reparameterised) and posterior.by_coordinate:
            z, terms = posterior.rsample_and_terms(noise)
            return Latent(z, terms.sum(-1), p.log_prob(z), posterior, p, terms=terms)
        z, log_q = rsample_and_log_prob(posterior, noise)
        return Latent(z, log_q, p.log_prob(z), posterior, p)


@dataclass(frozen=True)
class FromPrior:
    """z ~ p(z | c): generation. The prior is its own proposal, so kl is 0. ``temperature`` scales the noise.

    ``noise(n, shape)`` may supply the standard-normal noise of group n.
    """

    temperature: float = 1.0
    noise: Callable[[int, torch.Size], Tensor] | None = None

    def __call__(self, n: int, p: Distribution, q: Callable[[], Distribution]) -> Latent:
        z, log_p = sample_and_log_prob(p, self.temperature, partial(self.noise, n) if self.noise else None)
        return Latent(z, log_p, log_p, p, p)


@dataclass(frozen=True)
class Mixed:
    """The first ``top`` groups from the posterior, the rest from the prior at ``temperature``: partial generation."""

    top: int
    temperature: float = 1.0
    noise: Callable[[int, torch.Size], Tensor] | None = None

    def __call__(self, n: int, p: Distribution, q: Callable[[], Distribution]) -> Latent:
        draw: Draw = FromPosterior(self.noise) if n < self.top else FromPrior(self.temperature, self.noise)
        return draw(n, p, q)


@dataclass(frozen=True)
class Given:
    """z as given, one tensor ``(S, B, *event)`` a group: scoring. Under a flow this inverts it."""

    zs: Sequence[Tensor]

    def __call__(self, n: int, p: Distribution, q: Callable[[], Distribution]) -> Latent:
        posterior, z = q(), self.zs[n]
        return Latent(z, posterior.log_prob(z), p.log_prob(z), posterior, p)


@dataclass(frozen=True)
class Held:
    """Some groups as given in ``zs``, by number, whatever p says of them; ``others`` draws the rest."""

    zs: Mapping[int, Tensor]
    others: Draw

    def __call__(self, n: int, p: Distribution, q: Callable[[], Distribution]) -> Latent:
        if n not in self.zs:
            return self.others(n, p, q)
        log_p = p.log_prob(self.zs[n])
        return Latent(self.zs[n], log_p, log_p, p, p)
