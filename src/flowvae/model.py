"""The variational autoencoder: encoder, latents, likelihood, and the terms of its bound."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from flowvae import registry
from flowvae.conditional import Augmented, Conditional
from flowvae.distributions.base import average
from flowvae.errors import InputError, in_memory, nearest, require_count
from flowvae.latents import Draw, FromPosterior, FromPrior, Latent, Latents

PARTS = {"encoder": "mlp", "latents": "flat", "likelihood": "bernoulli"}
"""The tables of a model's specification, and the component that each names when it names none."""


@dataclass(frozen=True)
class Trace:
    """The terms of the bound, never reduced: log p(x | z) ``(S, B)`` and the latent groups, in nats.

    Of an `Augmented` likelihood, ``log_px`` is the estimate of its own bound on log p(x | z).
    """

    log_px: Tensor
    latents: tuple[Latent, ...]

    @property
    def log_w(self) -> Tensor:
        """log w = log p(x | z) + sum_n [ log p(z_n | c_n) - log q(z_n | x, c_n) ], ``(S, B)``."""
        return reduce(lambda total, latent: total - latent.kl, self.latents, self.log_px)


class VAE(nn.Module):
    """p(x, z) = p(x | z) prod_n p(z_n | c_n) with the approximate posterior prod_n q(z_n | x, c_n).

    >>> import torch
    >>> model = build_model({"latents": {"dim": 2}}, (1, 8, 8))
    >>> model(torch.rand(5, 1, 8, 8), samples=3).log_w.shape
    torch.Size([3, 5])
    """

    def __init__(self, encoder: nn.Module, latents: Latents, likelihood: Conditional):
        super().__init__()
        self.encoder = encoder
        self.latents = latents
        self.likelihood = likelihood
        self.event_shape: tuple[int, ...] = ()
        self.spec: dict[str, Any] | None = None
        """The resolved specification that `build_model` made the model from; None for a model put together by hand."""

    def forward(self, x: Tensor, samples: int = 1, draw: Draw | None = None) -> Trace:
        """The terms of the bound for x ``(B, *event)`` with S = ``samples`` draws a datum."""
        require_draws(samples)
        return self.trace(x, self.encoder(x), samples, draw)

    def trace(self, x: Tensor, h: Tensor, samples: int = 1, draw: Draw | None = None) -> Trace:
        """As calling the model, with the features h of x at hand: the encoder runs once for any number of draws."""
        draw, batch = draw or FromPosterior(), torch.Size((samples, *h.shape[:-1]))
        c, latents = self.latents.walk(draw, h, batch)
        if isinstance(self.likelihood, Augmented):
            noise = draw(len(latents), *self.likelihood.noise(x, batch))
            return Trace(self.likelihood.log_prob(c, x, noise.z) - noise.kl, latents)
        return Trace(self.likelihood(c).log_prob(x), latents)

    def generate(self, n: int, temperature: float = 1.0) -> Distribution:
        """p(x | z) for n draws z from the prior, their noise scaled by ``temperature``, at least 0."""
        require_count(n, "sample")
        if not 0 <= temperature < math.inf:
            raise InputError(f"expected a temperature of at least 0; got {temperature}: 1 is that of the prior itself")
        c, _ = self.latents.walk(FromPrior(temperature), None, torch.Size((n,)))
        return self.likelihood(c)

    @torch.no_grad()
    def sample(self, n: int, temperature: float = 1.0) -> Tensor:
        """n data drawn from the model, ``(n, *event)``."""
        return self.generate(n, temperature).sample()

    @torch.no_grad()
    def reconstruct(self, x: Tensor, samples: int = 1) -> Tensor:
        """E_q[ E p(x | z) ]: the likelihood's mean averaged over ``samples`` posterior draws, ``(B, *event)``.

        Of sequences, which have no mean, the mode at one draw; behind a flow, where none is known, draws.
        """
        require_draws(samples)
        h = self.encoder(x)
        c, _ = self.latents.walk(FromPosterior(), h, torch.Size((samples, *h.shape[:-1])))
        return average(self.likelihood(c))

    @torch.no_grad()
    def encode(self, x: Tensor, samples: int = 1) -> tuple[Tensor, ...]:
        """Posterior draws of every group, each ``(S, B, *event of the group)``."""
        require_draws(samples)
        h = self.encoder(x)
        _, latents = self.latents.walk(FromPosterior(), h, torch.Size((samples, *h.shape[:-1])))
        return tuple(latent.z for latent in latents)


def require_draws(samples: int) -> None:
    """Raise `InputError` unless ``samples`` is a number of draws a datum."""
    require_count(samples, "sample a datum")


class Described(Protocol):
    """What `build_model` asks of a data set: the shape of one datum, and the mean and examples of the training data."""

    @property
    def event_shape(self) -> tuple[int, ...]: ...

    @property
    def mean(self) -> Tensor: ...

    def examples(self, n: int) -> Tensor: ...


def resolve_parts(spec: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The tables ``encoder``, ``latents`` and ``likelihood`` of ``spec``, checked and complete.

    Where nothing is inferred the encoder is ``none``; `InputError` where another one is named, or none is needed.
    """
    tables = {part: registry.resolve(part, spec.get(part), default=name) for part, name in PARTS.items()}
    structure = tables["latents"]["name"]
    infers = getattr(registry.component("latents", structure), "infers", True)
    if not infers and spec.get("encoder") is None:
        tables["encoder"] = registry.resolve("encoder", "none")
    found = tables["encoder"]["name"]
    if infers is (found == "none"):
        expected = "an encoder" if infers else "no encoder"
        remedy = "name one, such as 'mlp'" if infers else "leave it out, or use 'none'"
        raise InputError(f"encoder.name: expected {expected} for latents.name = {structure!r}; got {found!r}: {remedy}")
    return tables


def begin_priors(model: VAE, examples: Callable[[int], Tensor]) -> None:
    """Let the priors that start at data do so: those with a method ``begin_at``, at ``components`` data each."""
    for module in model.latents.modules():
        if callable(begin_at := getattr(module, "begin_at", None)):
            begin_at(examples(int(module.components)), model.encoder)  # type: ignore[arg-type]


def build_model(spec: Mapping[str, Any] | None, data: Described | tuple[int, ...]) -> VAE:
    """A model from the tables ``encoder``, ``latents`` and ``likelihood``, each of them optional.

    Args:
        spec: the tables, as in a recipe; what they leave out takes its default.
        data: a data set, or the shape of one datum. With a data set, encoder and likelihood start centred on the
            mean of its training data where they can (those with a method ``centre``), which saves the first epochs.
            A prior with a method ``begin_at`` starts at ``components`` training data.

    Raises:
        InputError: unknown table, component or option (the nearest name is told), a value out of range, a shape
            without sizes or of sizes below 1, or sizes that no memory holds.
    """
    if not isinstance(data, tuple) and not hasattr(data, "event_shape"):
        remedy = f"give load_data({data!r})" if isinstance(data, str) else "give a tuple such as (1, 28, 28)"
        raise InputError(f"expected a data set, or the shape of one datum; got {data!r}: {remedy}")
    if isinstance(data, tuple) and not (data and all(hasattr(size, "__index__") and size > 0 for size in data)):
        raise InputError(f"expected sizes from 1 on; got the shape {tuple(data)}: give those of one datum")
    if not isinstance(spec or {}, Mapping):
        raise InputError(f"expected the tables of a model; got {spec!r}: give them, as {{'latents': 'flat'}}")
    spec = dict(spec or {})
    for table in spec:
        if table not in PARTS:
            raise InputError(f"expected a table of a model; got {table!r}{nearest(table, PARTS)}")
    event_shape = data if isinstance(data, tuple) else data.event_shape  # a tuple, or a `Schema` of sequences
    tables = resolve_parts(spec)
    over_maps = getattr(registry.component("latents", tables["latents"]["name"]), "over_maps", False)
    with in_memory("a model", "lower its sizes, as latents.dim or encoder.width"):
        encoder = registry.build("encoder", tables["encoder"], event_shape)
        features = getattr(encoder, "maps", encoder.features) if over_maps else encoder.features
        latents = registry.build("latents", tables["latents"], features)
        likelihood = registry.build("likelihood", tables["likelihood"], latents.out_shape, event_shape)
        model = VAE(encoder, latents, likelihood)
        for module in latents.modules():
            if callable(read_with := getattr(module, "read_with", None)):
                read_with(encoder, event_shape)
        if not isinstance(data, tuple):
            for part in (encoder, likelihood):
                if hasattr(part, "centre"):
                    part.centre(data.mean)
            begin_priors(model, data.examples)
    model.event_shape, model.spec = event_shape, tables
    return model
