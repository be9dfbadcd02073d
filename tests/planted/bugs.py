"""Mistakes that are easily made, each with the law or oracle that catches it.

A bug replaces one attribute of the library. Bugs are collected from the literature, from issue trackers of similar
libraries and from what was once wrong here.
"""

import math
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch._dynamo.exc
from torch import Tensor
from torch.distributions import kl_divergence
from torch.nn.functional import logsigmoid, softplus

from flowvae import latents, objectives, registry, results, transforms
from flowvae.conditional import Augmented
from flowvae.data import Split
from flowvae.decoders import resnet
from flowvae.distributions import (
    Bernoulli,
    ContinuousBernoulli,
    DiagonalNormal,
    DiscretisedLogistic,
    FlowDistribution,
    FullNormal,
    LowRankNormal,
    Mixture,
    MixtureOfLogistics,
    SequenceDistribution,
    StepDensity,
    diagonal,
    full,
    standard_normal,
)
from flowvae.distributions.base import Reparameterised
from flowvae.distributions.features import UnitFeature
from flowvae.encoders import rnn
from flowvae.engine import optim
from flowvae.flows import Parameters, continuous
from flowvae.flows.actnorm import Moments
from flowvae.flows.maf import MAF
from flowvae.flows.planar import Planar
from flowvae.flows.realnvp import RealNVP
from flowvae.flows.sylvester import Sylvester
from flowvae.latents import FromPosterior, FromPrior, LearnedGates, Mixed, graph, rung
from flowvae.latents.flat import Flat
from flowvae.latents.gates import Score, StraightThrough
from flowvae.latents.graph import Graph
from flowvae.latents.ladder import Ladder
from flowvae.latents.rung import Rung
from flowvae.likelihoods.bernoulli import Bernoulli as BernoulliLikelihood
from flowvae.likelihoods.dequantised import Dequantised
from flowvae.likelihoods.gaussian import GaussianLikelihood
from flowvae.likelihoods.sequence import Sequence as SequenceLikelihood
from flowvae.model import VAE, Trace
from flowvae.nn import MADE, BatchNorm, FromData, incremental, masked_conv, residual
from flowvae.nn.normed import Normed
from flowvae.objectives import ELBO, IWAE, FreeBits
from flowvae.posteriors import Flowed, Fused
from flowvae.priors.flow import FlowPrior
from flowvae.priors.mixture import MixturePrior
from flowvae.priors.vamp import Vamp
from flowvae.registry import components
from flowvae.transforms import (
    LU,
    Affine,
    Autoregressive,
    Composed,
    Coupling,
    Gated,
    Inverse,
    ODETransform,
    Permuted,
    PlanarTransform,
    RadialTransform,
    Reflected,
    Spline,
    Transform,
    dormand_prince,
    planar,
    roots,
    spline,
    sylvester,
)
from tests.data import test_dequantise
from tests.engine import test_layout
from tests.laws import catalogue, test_densities, test_flows, test_latents, test_likelihoods, test_models, test_modules
from tests.oracles import (
    test_autoregressive,
    test_bernoulli,
    test_bijections,
    test_continuous,
    test_density_models,
    test_dequantised,
    test_graph,
    test_images,
    test_inversion,
    test_kl,
    test_ladder,
    test_levels,
    test_linear_gaussian,
    test_masked_conv,
    test_never_inverts,
    test_objectives,
    test_other_libraries,
    test_priors,
    test_registry,
    test_sequences,
    test_spline,
    test_starting,
)
from tests.study import conftest, test_results


@dataclass(frozen=True)
class Bug:
    """``owner.attribute`` becomes ``wrong``; then ``law()`` must fail: by an assertion, unless ``fails`` says how."""

    says: str
    owner: Any
    attribute: str
    wrong: Any
    law: Callable[[], None]
    fails: tuple[type[BaseException], ...] = (AssertionError, pytest.fail.Exception)


def case(kind: str, name: str, *shapes: Any, **options: Any) -> catalogue.Case:
    small = {
        key: value for key, value in catalogue.SMALL.items() if key in (o.name for o in registry.options(kind, name))
    }
    return catalogue.Case(kind, {"name": name} | small | options, shapes)


IAF = case("flow", "iaf", (4,), 3)
PLAIN_IAF = case("flow", "iaf", (4,), 0)
AFFINE = case("flow", "iaf", (4,), 3, update="affine")
PLANAR = case("flow", "planar", (4,), 3)
CONTINUOUS = case("flow", "continuous", (4,), 3)
COUPLING = case("flow", "spline", (4,), 3, form="coupling")
RADIAL = case("flow", "radial", (4,), 3)
LOWRANK = case("family", "lowrank", (4,))
DIAGONAL = case("family", "diagonal", (4,))
FULL = case("family", "full", (4,))
FLOWED = case("posterior", "gaussian", catalogue.FEATURES, (4,), flow={"name": "iaf", "width": 12})
FLAT = catalogue.cases("latents")[0]
PIXELS = case("likelihood", "bernoulli", (3,), (1, 2, 2), decoder={"name": "mlp", "width": 12})
LEVELS = case("likelihood", "discretised_logistic", (3,), (1, 2, 2), decoder={"name": "mlp", "width": 12})
LADDER = case("latents", "ladder", catalogue.FEATURES)
MODEL = catalogue.models()[0]


def spied(law: Callable[..., None], *arguments: Any) -> None:
    """A law that wants the spy on inversions."""
    with pytest.MonkeyPatch.context() as patch:
        law(*arguments, test_never_inverts.spy(patch))


def patched(law: Callable[..., None], *arguments: Any) -> None:
    """A law that patches for itself."""
    with pytest.MonkeyPatch.context() as patch:
        law(*arguments, patch)


def on_a_tiny_study(law: Callable[[Path, Path], None]) -> None:
    """A law that wants the file of a study and a folder."""
    with tempfile.TemporaryDirectory() as folder:
        tiny = Path(folder, "tiny.toml")
        tiny.write_text(conftest.TOML)
        law(tiny, tiny.parent)


def name_is_taken_once() -> None:
    with pytest.MonkeyPatch.context() as patch:
        test_registry.forget(patch)
        test_registry.test_a_name_is_taken_once(None)


GRAPH = catalogue.Case("latents", next(s for s in catalogue.structures("latents") if s["name"] == "graph"), (5,))
NORMED = case("encoder", "mlp", (3,), norm="batch")
SCORE = {"name": "score"}


# --- the mistakes ----------------------------------------------------------------------------------------------------


def gate_without_its_bias(self: Gated, x: Tensor, m: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    gate = torch.sigmoid(s + self.bias)
    return m + gate * (x - m), logsigmoid(s)


def unbounded_log_scale(self: Affine, x: Tensor, m: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    return torch.exp(self._log_sigma(s)) * x + m, s


def mean_instead_of_sum(self: Autoregressive, x: Tensor) -> tuple[Tensor, Tensor]:
    y, ladj = self.update.forward(x, *self.net(x))
    return y, ladj.mean(-1)


def one_pass(self: Autoregressive, y: Tensor) -> Tensor:
    return self.update.inverse(y, *self.net(y))


def unguarded(self: Autoregressive, y: Tensor) -> Tensor:
    x = y
    for _ in range(y.shape[-1]):
        m, s = self.net(x)
        x = m + (y - m) * (1 + torch.exp(-(s + 1.5)))
    return x


def forgets_earlier_blocks(
    self: incremental._Rows, block: slice, rows: slice, offset: Tensor, *product: Tensor
) -> None:
    self.table[rows] = offset


def ends_with_the_points(self: Autoregressive, y: Tensor, tolerance: float) -> Tensor:
    x = y
    for _ in range(y.shape[-1]):
        previous, x = x, self.update.inverse(y, *self.net(x))
        if self._unchanged(x, previous, tolerance):
            break
    return x


def masked(change: Callable[[MADE], None]) -> Callable[..., None]:
    """A MADE whose masks are changed once it is built."""
    right = MADE.__init__

    def build(self: MADE, *arguments: Any, **options: Any) -> None:
        right(self, *arguments, **options)
        change(self)

    return build


def sees_itself(net: MADE) -> None:
    """The mask of the next output: what precedes that one includes this one."""
    mask = net.out.mask[: len(net.out.mask) // 2]
    net.out.mask = torch.cat([mask[1:], torch.ones_like(mask[:1])]).repeat(2, 1)


def half_the_units(net: MADE) -> None:
    """Units of the higher degrees see nothing."""
    net.hidden[0].mask[len(net.hidden[0].mask) // 2 :] = 0


def first_output_sees_nothing(net: MADE) -> None:
    net.out.mask[:: len(net.out.mask) // 2] = 0


def never_reversed(
    self: MADE, *arguments: Any, reverse: bool = False, right: Any = MADE.__init__, **options: Any
) -> None:
    right(self, *arguments, reverse=False, **options)


def blind_to_context(self: MADE, h: Tensor | None) -> Tensor | None:
    return None


def context_of_the_first_datum(self: MADE, h: Tensor | None) -> Tensor | None:
    return None if self.context is None else self.context(h[:1] if h.ndim > 1 else h)


def residual_in_name_only(self: MADE, x: Tensor, bound: Tensor | None) -> tuple[Tensor, ...]:
    x = self.activation(self.hidden[0](x))
    for layer in self.hidden[1:]:
        x = self.activation(layer(x))
    return self.out(x).chunk(self.outputs, -1)


def radial_on_a_plane(self: RadialTransform, x: Tensor, right: Any = RadialTransform.call_and_ladj) -> Any:
    y, ladj = right(self, x)
    r = torch.linalg.vector_norm(x - self.centre, dim=-1)
    return y, ladj - torch.log((r + self.gamma) / (r + self.alpha))


def centre_forgotten(self: RadialTransform, y: Tensor, right: Any = RadialTransform._inverse) -> Tensor:
    return right(self, y) - self.centre


def raw_columns(self: Sylvester, k: int, phi: Tensor) -> Tensor:
    return phi.unflatten(-1, (-1, self.dim)).mT


def open_diagonal(self: Sylvester, strict: Tensor, diagonal: Tensor, right: Any = Sylvester._triangle) -> Tensor:
    return right(self, strict, diagonal) + torch.diag_embed(diagonal - torch.tanh(diagonal))


def rounded_to_one(self: Sylvester, strict: Tensor, diagonal: Tensor, right: Any = Sylvester._triangle) -> Tensor:
    return right(self, strict, diagonal) + torch.diag_embed(4 * torch.finfo(diagonal.dtype).eps * torch.tanh(diagonal))


def autocast_product(matrix: Tensor, x: Tensor) -> Tensor:
    return (matrix @ x[..., None])[..., 0]


def projected_away(self: Reflected, x: Tensor) -> tuple[Tensor, Tensor]:
    y = x - self.v * (self.v * x).sum(-1, keepdim=True)
    return y, y.new_zeros(y.shape[:-1])


def same_order_back(self: Permuted, y: Tensor) -> Tensor:
    return y[..., self.order]


def signed_diagonal(self: LU, x: Tensor, right: Any = LU.call_and_ladj) -> tuple[Tensor, Tensor]:
    return right(self, x)[0], self.upper.diagonal().sum().expand(x.shape[:-1])


def root_of_the_bracket(f: Any, target: Tensor, reach: Tensor, right: Any = roots.increasing_root) -> Tensor:
    return target + (right(f, target, reach) - target).detach()


def amortised_from_nothing(self: Parameters, h: Tensor | None = None) -> Tensor:
    return self.start if self.amortised is None else self.amortised(h)


def bent_by_the_factor(self: LowRankNormal, columns: Tensor) -> Tensor:
    return columns + self.loadings @ torch.linalg.solve_triangular(self.factor, self.loadings.mT @ columns, upper=False)


def of_the_wrong_side(self: Moments, x: Tensor, inverse: bool = False, right: Any = Moments.start_from) -> None:
    right(self, x, not inverse)


def started_in_secret(self: FromData, state: bool) -> None:
    pass


def turns_taken_by_no_one(self: RealNVP, t: int, net: Any, h: Tensor | None, right: Any = RealNVP._coupling) -> Any:
    return right(self, 0, net, h)


def unturned(self: MAF, h: Tensor | None = None) -> Transform:
    return self.iaf(h)


def not_made_invertible(self: PlanarTransform, u: Tensor, w: Tensor, b: Tensor) -> None:
    Transform.__init__(self)
    self.u, self.w, self.b, self.dot = u, w, b, (w * u).sum(-1).clamp(min=-1 + 1e-12)


def logarithm_of_the_raw_dot(self: PlanarTransform, x: Tensor) -> tuple[Tensor, Tensor]:
    t = torch.tanh((self.w * x).sum(-1) + self.b)
    return x + self.u * t[..., None], torch.log1p(self.dot * (1 - t))


def rounding_divided_by_w(a: Tensor) -> Tensor:
    return softplus(a + math.log(math.e - 1)) - 1


def moves_what_is_kept(self: Coupling, x: Tensor) -> tuple[Tensor, Tensor]:
    y, ladj = self.update.forward(x, *self._parameters(x))
    return torch.where(self.kept, x, y), ladj.sum(-1)


def sees_what_it_moves(self: Coupling, x: Tensor) -> tuple[Tensor, ...]:
    return self.net(x)


def published_root(v: Tensor, s: Tensor, d0: Tensor, d1: Tensor) -> Tensor:
    """Equations 6 to 8 of Durkan et al. (2019), whose discriminant rounding makes negative."""
    bend = d0 + d1 - 2 * s
    a, b, c = s - d0 + v * bend, d0 - v * bend, -s * v
    return 2 * c / (-b - torch.sqrt(b.square() - 4 * a * c))


def spline_of_the_far_point(self: Spline, x: Tensor, *params: Tensor) -> tuple[Tensor, Tensor]:
    left, bottom, w, h, d0, d1 = self._bin(x, params, along_y=False)
    y, ladj = spline._rational((x - left) / w, h / w, d0, d1)
    inside = x.abs() < self.bound
    return torch.where(inside, bottom + h * y, x), torch.where(inside, ladj, 0)


def inverted_to_be_scored(self: Inverse, y: Tensor) -> tuple[Tensor, Tensor]:
    return Transform.inverse_and_ladj(self, y)


def signs_of_every_moment(self: ODETransform, z: Tensor, start: float, end: float) -> tuple[Tensor, Tensor]:
    def slope(t: float, state: Tensor) -> Tensor:
        probes = self._probes(z)
        points = state[..., :-1].expand_as(probes).contiguous()
        dz, along = torch.func.jvp(lambda points: self.field(t, points), (points,), (probes,))[:2]
        return torch.cat([dz[0], (probes * along).sum((0, -1))[..., None]], -1)

    state = torch.cat([z, torch.zeros_like(z[..., :1])], -1)
    state = self.solve(slope, state, start, end)
    return state[..., :-1], state[..., -1]


def of_second_order(steps: int) -> Any:
    def solve(field: Any, z: Tensor, start: float, end: float) -> Tensor:
        h = (end - start) / steps
        for n in range(steps):
            middle = z + h / 2 * field(start + n * h, z)
            z = z + h * field(start + n * h + h / 2, middle)
        return z

    return solve


def knowing_nothing(tolerance: float, knows: Any) -> Any:
    return dormand_prince(tolerance, ())


def forward_in_time(self: ODETransform, y: Tensor) -> tuple[Tensor, Tensor]:
    z, ladj = self._solved(y, 0.0, 1.0)
    return z, -ladj


def free_slopes_at_the_ends(a: Tensor) -> Tensor:
    return torch.nn.functional.pad(torch.exp(a), (1, 1), value=0.5)


def published_shift(a: Tensor) -> Tensor:
    return softplus(a) - 1


def same_step_every_time(self: Planar, h: Tensor | None = None) -> Transform:
    u, w, b = self.phi(h).unflatten(-1, (self.steps, -1)).split([self.dim, self.dim, 1], -1)
    return Composed([PlanarTransform(u[..., 0, :], w[..., 0, :], b[..., 0, 0])] * self.steps)


def first_part_first(self: Composed, y: Tensor) -> Tensor:
    for part in self.parts:
        y = part.inv(y)
    return y


def last_determinant_only(self: Composed, x: Tensor) -> tuple[Tensor, Tensor]:
    for part in self.parts:
        x, ladj = part.call_and_ladj(x)
    return x, ladj


def forward_determinant(self: Transform, y: Tensor) -> tuple[Tensor, Tensor]:
    x = self._inverse(y)
    return x, self.call_and_ladj(x)[1]


def variance_for_deviation(self: DiagonalNormal, eps: Tensor) -> tuple[Tensor, Tensor]:
    log_q = -(0.5 * eps.square() + self.log_scale).sum(-1) - diagonal.HALF_LOG_2PI * eps.shape[-1]
    return self.loc + eps * (2 * self.log_scale).exp(), log_q


def without_constant(self: DiagonalNormal, value: Tensor) -> Tensor:
    eps = (value - self.loc) * torch.exp(-self.log_scale)
    return -(0.5 * eps.square() + self.log_scale).sum(-1)


def deaf_to_temperature(
    self: Mixture, shape: torch.Size, temperature: float = 1.0, right: Any = Mixture.draw
) -> Tensor:
    return right(self, shape)


def choices_have_a_temperature(
    self: Mixture, shape: torch.Size, temperature: float = 1.0, right: Any = Mixture.draw
) -> Tensor:
    sharper = (self.log_weights / max(temperature, 1e-3)).log_softmax(-1)
    return right(Mixture(sharper, self.components), shape, temperature)


def a_component_for_each_coordinate(
    self: Mixture, shape: torch.Size, temperature: float = 1.0, right: Any = Mixture.draw
) -> Tensor:
    return torch.cat([right(self, shape, temperature)[..., i, None] for i in range(*self.event_shape)], -1)


def unnormalised(self: MixturePrior, c: Tensor, right: Any = MixturePrior.forward) -> Mixture:
    p = right(self, c)
    return Mixture(p.log_weights + 0.1, p.components)


def run_from_the_noise(self: FlowPrior, c: Tensor) -> FlowDistribution:
    return FlowDistribution(self.base(c), self.flow(c if self.flow.context else None))


def adopts_the_posterior(self: Vamp, posterior: Any, features: int, right: Any = Vamp.bind) -> None:
    right(self, posterior, features)
    self.adopted = posterior


def covariance_for_factor(self: FullNormal, eps: Tensor) -> tuple[Tensor, Tensor]:
    z = self.loc + (self.scale_tril.mT * eps[..., None, :]).sum(-1)
    return z, -0.5 * eps.square().sum(-1) - self.log_det - diagonal.HALF_LOG_2PI * eps.shape[-1]


def half_precision_product(self: FullNormal, eps: Tensor) -> tuple[Tensor, Tensor]:
    z = self.loc + (self.scale_tril @ eps[..., None])[..., 0]
    return z, -0.5 * eps.square().sum(-1) - self.log_det - diagonal.HALF_LOG_2PI * eps.shape[-1]


def triangle_by_columns(self: full.Full, phi: Tensor, right: Any = full.Full.__call__) -> Any:
    rows, columns = torch.tril_indices(self.dim, self.dim, offset=-1)
    place = torch.argsort(torch.argsort(columns * self.dim + rows))
    return right(self, torch.cat([phi[..., : 2 * self.dim], phi[..., 2 * self.dim :][..., place]], -1))


def may_reach_zero(s: Tensor) -> Tensor:
    return softplus(s + math.log(math.e - 1))


def overflowing(s: Tensor) -> Tensor:
    return s.exp()


def reversed_divergence(q: DiagonalNormal, p: DiagonalNormal, right: Any = diagonal.kl_per_dimension) -> Tensor:
    return right(p, q)


def minus_the_determinant(self: FlowDistribution, eps: Tensor) -> tuple[Tensor, Tensor]:
    z0, log_q0 = self.base.from_noise(eps)
    z, ladj = self.transform.call_and_ladj(z0)
    return z, log_q0 + ladj


def drawn_then_scored(self: Reparameterised, noise: Any = None) -> tuple[Tensor, Tensor]:
    shape = self.batch_shape + self.event_shape
    z = self.from_noise(noise(shape) if noise else self._standard_normal(shape))[0]
    return z, self.log_prob(z)


def noise_on_the_cpu(self: Reparameterised, shape: torch.Size) -> Tensor:
    return torch.randn(shape)


def saturating(self: Bernoulli, value: Tensor) -> Tensor:
    p = self.mean.clamp(1e-7, 1 - 1e-7)
    return (value * p.log() + (1 - value) * (1 - p).log()).flatten(-len(self.event_shape)).sum(-1)


def mean_over_pixels(self: Bernoulli, value: Tensor) -> Tensor:
    return (value * self.logits - softplus(self.logits)).flatten(-len(self.event_shape)).mean(-1)


def sharpened(self: BernoulliLikelihood, c: Tensor) -> Bernoulli:
    class Sharp(Bernoulli):
        mean = property(lambda self: (torch.sigmoid(self.logits) > 0.5).to(self.logits.dtype))

    return Sharp(self.decoder(c), self.event_dims)


def one_draw_for_all_samples(self: Flat, draw: Any, h: Tensor | None, batch: torch.Size) -> Any:
    p = self.prior(self.no_parents(batch[-1:]))
    latent = draw(0, p, lambda: self.posterior(h, p))
    repeated = latents.Latent(
        latent.z.expand(*batch, -1), latent.log_q.expand(batch), latent.log_p.expand(batch), latent.q, latent.p
    )
    return repeated.z, (repeated,)


def deaf_to_noise(self: latents.FromPosterior, n: int, p: Any, q: Any) -> latents.Latent:
    posterior = q()
    z, log_q = posterior.rsample_and_log_prob()
    return latents.Latent(z, log_q, p.log_prob(z), posterior, p)


def prior_of_the_posterior(self: latents.FromPosterior, n: int, p: Any, q: Any) -> latents.Latent:
    latent = right_draw(self, n, p, q)
    return latents.Latent(
        latent.z, latent.log_q, DiagonalNormal(p.loc + 0.1, p.log_scale).log_prob(latent.z), latent.q, p
    )


right_draw = latents.FromPosterior.__call__


def cold(self: latents.FromPrior, n: int, p: Any, q: Any) -> latents.Latent:
    z, log_p = p.rsample_and_log_prob()
    return latents.Latent(z, log_p, log_p, p, p)


def given_the_mean(self: Flowed, h: Tensor, p: Any) -> FlowDistribution:
    context = None if self.context is None else self.context(h)
    if context is not None and context.ndim > 1:
        context = context.mean(0, keepdim=True)
    return FlowDistribution(self.base(h, p), self.flow(context))


def deaf_to_the_prior(self: Fused, h: Tensor, p: Any) -> Any:
    return self.base(h, p)


def means_weighed_alike(self: Fused, h: Tensor, p: Any, right: Any = Fused.forward) -> Any:
    q, fused = self.base(h, p), right(self, h, p)
    return fused if p is None else DiagonalNormal((q.loc + p.loc) / 2, fused.log_scale)


def children_first(order: Any, edges: Any, right: Any = graph.candidates) -> Any:
    return right(order, edges)[::-1]


def all_gates_open(self: LearnedGates, batch: torch.Size) -> Tensor:
    return torch.ones_like(self.logits)


def standard_for_the_graph(self: Graph, draw: Any, h: Tensor | None, batch: torch.Size, right: Any = Graph.walk) -> Any:
    c, found = right(self, draw, h, batch)
    return c, tuple(replace(one, log_p=standard_normal(one.z).log_prob(one.z)) for one in found)


def credit_turned_round(self: Score, gates: Tensor, log_w: Tensor, right: Any = Score.surcharge) -> Tensor:
    found = right(self, gates, log_w)
    return 2 * found.detach() - found


def learns_from_all(self: Score, gates: Tensor, log_w: Tensor, right: Any = Score.surcharge) -> Tensor:
    found = right(self, gates, log_w)
    self.baseline.lerp_(log_w.mean(), 0.1)
    return found


def the_first_visited(self: Graph, draw: Any, h: Tensor | None, batch: torch.Size, right: Any = Graph.walk) -> Any:
    c, found = right(self, draw, h, batch)
    return (found[0].z if self.visible == "last" else c), found


def no_way_through(self: StraightThrough, u: Tensor) -> Tensor:
    return (u > 1 - self.means).to(u.dtype)


@contextmanager
def unsettled(self: LearnedGates, generator: torch.Generator) -> Any:
    yield


def mean_of_the_batch(self: BatchNorm, x: Tensor) -> Tensor:
    flat = x.reshape(-1, x.shape[-1])
    return self.weight * (x - flat.mean(0)) / (flat.var(0, correction=0) + self.eps).sqrt() + self.bias


def sum_over_the_batch(self: VAE, x: Tensor, h: Tensor, samples: int = 1, draw: Any = None) -> Trace:
    trace = right_trace(self, x, h, samples, draw)
    return Trace(trace.log_px.mean(-1, keepdim=True).expand_as(trace.log_px), trace.latents)


right_trace = VAE.trace


def plus_the_divergence(self: Trace) -> Tensor:
    return self.log_px + sum(latent.kl for latent in self.latents)


def sum_of_weights(log_w: Tensor) -> Tensor:
    return torch.logsumexp(log_w, 0)


def mean_of_logarithms(self: IWAE, trace: Trace, beta: Tensor | float = 1.0) -> Tensor:
    return -trace.log_w.mean()


def beta_on_everything(self: ELBO, trace: Trace, beta: Tensor | float = 1.0) -> Tensor:
    return beta * (-trace.log_px.mean() + sum(objectives.group_kl(latent, self.kl).mean() for latent in trace.latents))


def detached_divergence(self: ELBO, trace: Trace, beta: Tensor | float = 1.0) -> Tensor:
    rate = sum(objectives.group_kl(latent, self.kl).mean() for latent in trace.latents)
    return -trace.log_px.mean() + beta * rate.detach()


def looks_at_values(self: ELBO, trace: Trace, beta: Tensor | float = 1.0, right: Any = ELBO.forward) -> Tensor:
    loss = right(self, trace, beta)
    return loss if loss > 0 else loss.abs()


def free_bits_of_each_datum(self: FreeBits, trace: Trace, beta: Tensor | float = 1.0) -> Tensor:
    rate = sum(objectives.group_kl(latent, self.kl).clamp(min=self.free).mean() for latent in trace.latents)
    return -trace.log_px.mean() + beta * rate


def warmed_up_by_step(self: Any, step: int, steps_per_epoch: int) -> float:
    return self.beta * min(1.0, step / self.warmup) if self.warmup else self.beta


def silently_sampled(latent: Any, kl: str) -> Tensor:
    return kl_divergence(latent.q, latent.p) if objectives.has_closed_kl(latent) else latent.kl


def unchecked(kind: str, name: str) -> Callable[[Any], Any]:
    def add(component: Any) -> Any:
        components._components[kind][name] = component
        return component

    return add


def unvalidated(kind: str, spec: Any, **_: Any) -> dict[str, Any]:
    table = {"name": spec} if isinstance(spec, str) else dict(spec or {})
    defaults = {o.name: o.default for o in registry.options(kind, table["name"])}
    return {"name": table["name"]} | defaults | table


def softmax_twice(self: StepDensity, phi: Tensor) -> Tensor:
    return phi[..., : self.types].softmax(-1)


def soft_feedback(self: SequenceLikelihood, steps: Tensor, state: Any) -> Any:
    table = self.embedding.types.weight
    return self._next(0.9 * self.embedding(steps) + 0.1 * table.mean(0), state)


def padding_counted(self: SequenceDistribution, value: Tensor) -> Tensor:
    phi = self.network.teach(self.c, value)
    return self.network.step.log_prob(phi, value).sum(-1)


def end_not_counted(self: SequenceDistribution, value: Tensor) -> Tensor:
    batch = torch.broadcast_shapes(self.batch_shape, value.shape[:-2])
    x = value.expand(batch + self.event_shape).flatten(0, -3)
    phi = self.network.teach(self._flat(batch), x)
    counts = (x[..., 0] == 0).cumsum(-1) == 0
    return torch.where(counts, self.network.step.log_prob(phi, x), 0.0).sum(-1).reshape(batch)


def shown_what_it_predicts(self: SequenceLikelihood, c: Tensor, values: Tensor) -> Tensor:
    first, state = self.decoder.start(c)
    return self._run(first, values[:, 1:], state)


def without_a_state(self: SequenceLikelihood, steps: Tensor, state: Any) -> Any:
    return self._next(self.embedding(steps), tuple(torch.zeros_like(t) for t in state))


def hidden_in_evaluation_too(self: SequenceLikelihood, first: Tensor, shown: Tensor, state: Any) -> Tensor:
    hidden = torch.where(self._chosen(self.word_dropout, shown), 0.0, self.embedding(shown))
    return self.head(self.decoder(torch.cat([first[:, None], hidden], 1), state)[0])


def padding_read(values: Tensor) -> Tensor:
    return torch.full(values.shape[:-2], values.shape[-2])


def not_truncated(self: UnitFeature, phi: Tensor, x: Tensor) -> Tensor:
    mu, sigma = self._moments(phi)
    return -0.5 * ((x - mu) / sigma).square() - sigma.log() - diagonal.HALF_LOG_2PI


# --- the list --------------------------------------------------------------------------------------------------------

flow_ladj = test_flows.test_log_determinant_is_that_of_the_jacobian
moments = test_priors.test_the_moments_of_a_mixture_at_a_temperature
inverse_by_definition = test_inversion.test_it_is_what_solving_for_each_coordinate_in_turn_gives
flow_inverse = test_flows.test_the_inverse_undoes_the_map_and_the_map_the_inverse
draw_is_scored = test_densities.test_a_draw_is_scored_as_any_point
density_of_map = test_densities.test_the_density_is_that_of_the_map
collapse = test_densities.test_no_family_collapses
loop = test_modules.test_any_number_of_batch_dimensions_is_a_loop
exact = test_linear_gaussian.test_the_exact_posterior_makes_every_weight_the_evidence
pattern = partial(test_autoregressive.test_made_sees_all_that_precedes_and_nothing_else, 3, 13, 2, 2)


def closed_edges(self: DiscretisedLogistic, value: Tensor) -> Tensor:
    half = 0.5 / (self.levels - 1)
    above, below = (value + half - self.loc) / self.scale, (value - half - self.loc) / self.scale
    return logsigmoid(above) + logsigmoid(-below) + torch.log(-torch.expm1(-2 * half / self.scale))


def difference_of_sigmoids(self: DiscretisedLogistic, value: Tensor) -> Tensor:
    half = 0.5 / (self.levels - 1)
    above, below = (value + half - self.loc) / self.scale, (value - half - self.loc) / self.scale
    above, below = above.masked_fill(value > 1 - half, math.inf), below.masked_fill(value < half, -math.inf)
    return torch.log((torch.sigmoid(above) - torch.sigmoid(below)).clamp(min=1e-12))


def bins_of_256(self: DiscretisedLogistic, value: Tensor, right: Any = DiscretisedLogistic.elementwise) -> Tensor:
    return right(DiscretisedLogistic(self.loc, self.scale, 256, len(self.event_shape)), value)


def unweighted(self: MixtureOfLogistics, value: Tensor) -> Tensor:
    terms = self.components.elementwise(value.unsqueeze(self.axis)) - math.log(self.components.batch_shape[-1])
    return terms.logsumexp(self.axis).flatten(-len(self.event_shape)).sum(-1)


def without_normaliser(self: ContinuousBernoulli, value: Tensor) -> Tensor:
    return (value * self.logits - softplus(self.logits)).flatten(-len(self.event_shape)).sum(-1)


def centre_tap_open(centre: Tensor, kernel: int, reverse: bool, right: Any = masked_conv._mask) -> Tensor:
    return right(torch.ones_like(centre), kernel, reverse)


def whole_row_above_only(centre: Tensor, kernel: int, reverse: bool, right: Any = masked_conv._mask) -> Tensor:
    mask = right(centre, kernel, False)
    mask[..., kernel // 2, : kernel // 2] = False
    return mask.flip(-1, -2) if reverse else mask


def rows_alone_reversed(centre: Tensor, kernel: int, reverse: bool, right: Any = masked_conv._mask) -> Tensor:
    mask = right(centre, kernel, False)
    return mask.flip(-2) if reverse else mask


def length_of_the_whole_weight(self: Normed, vectors: Tensor) -> Tensor:
    return (vectors.square().sum() + 1e-12).sqrt().expand(len(vectors), *[1] * (vectors.ndim - 1))


def prior_beside_the_stream(self: Rung, draw: Any, n: int, *maps: Any, right: Any = Rung.forward) -> Any:
    def standard(n: int, p: Any, q: Any) -> Any:
        latent = draw(n, p, q)
        zero = torch.zeros_like(p.loc)
        wrong = DiagonalNormal(zero, zero)
        return latent if latent.q is p else replace(latent, p=wrong, log_p=wrong.log_prob(latent.z))

    return right(self, standard, n, *maps)


def maps_by_columns(self: Ladder, h: Tensor, right: Any = Ladder._unpacked) -> list[Tensor]:
    return list(reversed(right(self, h)))


def stream_as_it_was(self: Rung, draw: Any, n: int, stream: Tensor, below: Any, right: Any = Rung.forward) -> Any:
    return stream, right(self, draw, n, stream, below)[1]


def kept_all_the_same(module: Any, x: Tensor, wanted: bool) -> Tensor:
    return module(x)


def transposed_whatever_is_asked(*shapes: Any, right: Any = residual.double, **options: Any) -> Any:
    return right(*shapes[:3], **options)


def all_inferred(self: Mixed, n: int, p: Any, q: Any) -> Any:
    return (FromPosterior(self.noise) if n <= self.top else FromPrior(self.temperature, self.noise))(n, p, q)


def free_bits_of_each_pixel(self: FreeBits, latent: Any) -> Tensor:
    return objectives.kl_per_dimension(latent.q, latent.p).flatten(0, -2).mean(0)


def terms_of_the_base(self: FlowDistribution, eps: Tensor) -> tuple[Tensor, Tensor]:
    z0, terms = self.base.terms_from_noise(eps)
    return self.transform(z0), terms


def vectors_without_their_mask(self: Normed) -> Tensor:
    return self.direction


def moments_in_the_layout_of_their_file(optimiser: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    optimiser.load_state_dict(state)


def noise_for_nothing(self: VAE, x: Tensor, h: Tensor, samples: int = 1, draw: Any = None) -> Trace:
    draw, batch = draw or FromPosterior(), torch.Size((samples, *h.shape[:-1]))
    c, groups = self.latents.walk(draw, h, batch)
    assert isinstance(self.likelihood, Augmented)
    noise = draw(len(groups), *self.likelihood.noise(x, batch))
    return Trace(self.likelihood.log_prob(c, x, noise.z), groups)


def noise_beyond_its_cell(self: Dequantised, x: Tensor, u: Tensor) -> Tensor:
    return ((self.levels - 1) * x + 2 * u) / self.levels


def rows_alone(record: dict[str, Any]) -> dict[tuple[str, int], dict[str, Any]]:
    return {(row["name"], run["seed"]): run for row in record["rows"] for run in row["runs"]}


BUGS = [
    Bug("the gate's log-derivative forgets its bias", Gated, "forward", gate_without_its_bias, partial(flow_ladj, IAF)),
    Bug(
        "the affine log-scale is bounded in the map only",
        Affine,
        "forward",
        unbounded_log_scale,
        partial(flow_ladj, AFFINE),
    ),
    Bug(
        "a mean over dimensions for a sum",
        Autoregressive,
        "call_and_ladj",
        mean_instead_of_sum,
        partial(flow_ladj, IAF),
    ),
    Bug("the inverse stops after one pass", Autoregressive, "_inverse", one_pass, partial(flow_inverse, IAF)),
    Bug(
        "the inverse overflows on coordinates not yet due",
        Autoregressive,
        "_inverse",
        unguarded,
        partial(test_autoregressive.test_the_inverse_is_found_one_coordinate_at_a_time, 20.0),
    ),
    Bug(
        "a block of coordinates forgets the blocks before it",
        incremental._Rows,
        "share",
        forgets_earlier_blocks,
        partial(inverse_by_definition, 19, 0, 2, 0, "blocks", Gated()),
    ),
    Bug(
        "iteration ends before its gradients have converged",
        Autoregressive,
        "_iterated",
        ends_with_the_points,
        partial(
            test_inversion.test_points_and_parameters_have_the_gradients_of_the_implicit_function, "jacobi", 1.0, False
        ),
    ),
    Bug("outputs see their own input", MADE, "__init__", masked(sees_itself), partial(pattern, False)),
    Bug("units do not see all that precedes", MADE, "__init__", masked(half_the_units), partial(pattern, False)),
    Bug("the order is never reversed", MADE, "__init__", never_reversed, partial(pattern, True)),
    Bug(
        "the context is lost",
        MADE,
        "bind",
        blind_to_context,
        partial(test_modules.test_gradients_reach_every_parameter, IAF),
    ),
    Bug(
        "the first coordinate does not see the context",
        MADE,
        "__init__",
        masked(first_output_sees_nothing),
        partial(test_autoregressive.test_made_sees_all_of_the_context_everywhere, 3, 13, 2, False),
    ),
    Bug(
        "a residual layer replaces what it should add to",
        MADE,
        "given",
        residual_in_name_only,
        test_autoregressive.test_a_residual_layer_adds_to_the_one_before_it,
    ),
    Bug("every datum gets the context of the first", MADE, "bind", context_of_the_first_datum, partial(loop, IAF)),
    Bug(
        "a coupling counts the derivatives of what it keeps",
        Coupling,
        "call_and_ladj",
        moves_what_is_kept,
        partial(flow_ladj, COUPLING),
    ),
    Bug("a coupling sees what it moves", Coupling, "_parameters", sees_what_it_moves, partial(flow_inverse, COUPLING)),
    Bug(
        "the discriminant of a spline turns negative",
        spline,
        "_root",
        published_root,
        partial(test_spline.test_a_million_inputs_stay_finite_with_their_gradients_and_come_back, True, 20_000),
    ),
    Bug(
        "a spline is computed where it does not act",
        Spline,
        "forward",
        spline_of_the_far_point,
        partial(test_spline.test_a_million_inputs_stay_finite_with_their_gradients_and_come_back, False, 20_000),
    ),
    Bug(
        "a spline has a corner where its tails begin",
        spline,
        "_slopes",
        free_slopes_at_the_ends,
        test_spline.test_it_is_zukos,
    ),
    Bug(
        "scoring through an inverse inverts it",
        Inverse,
        "inverse_and_ladj",
        inverted_to_be_scored,
        partial(patched, test_density_models.test_scoring_never_inverts, "iaf"),
    ),
    Bug(
        "the signs of an estimate change within a solution",
        ODETransform,
        "_solved",
        signs_of_every_moment,
        test_continuous.test_the_estimate_has_the_trace_as_its_mean_and_leaves_points_as_they_are,
    ),
    Bug(
        "the solver is of second order",
        transforms,
        "runge_kutta",
        of_second_order,
        test_continuous.test_the_error_falls_with_the_fourth_power,
    ),
    Bug(
        "the adjoint equation leaves out the parameters and the context",
        continuous,
        "dormand_prince",
        knowing_nothing,
        partial(test_continuous.test_the_adjoint_is_the_gradient_of_many_steps, "exact"),
    ),
    Bug(
        "the way back is solved forward in time",
        ODETransform,
        "inverse_and_ladj",
        forward_in_time,
        partial(draw_is_scored, CONTINUOUS),
    ),
    Bug(
        "planar is not made invertible", PlanarTransform, "__init__", not_made_invertible, partial(flow_inverse, PLANAR)
    ),
    Bug(
        "1 - tanh for 1 - tanh^2",
        PlanarTransform,
        "call_and_ladj",
        logarithm_of_the_raw_dot,
        partial(flow_ladj, PLANAR),
    ),
    Bug(
        "planar divides rounding errors by |w|^2",
        planar,
        "above_minus_one",
        rounding_divided_by_w,
        partial(test_other_libraries.test_planar_is_a_bijection_at_any_size_of_its_parameters, torch.float32, 1e-7),
    ),
    Bug(
        "planar moves points where u = 0",
        planar,
        "above_minus_one",
        published_shift,
        partial(test_other_libraries.test_planar_is_that_of_rezende_and_mohamed, 1.0),
    ),
    Bug(
        "planar repeats its first step",
        Planar,
        "forward",
        same_step_every_time,
        test_other_libraries.test_planar_flow_is_its_steps_in_order,
    ),
    Bug(
        "radial counts one dimension less",
        RadialTransform,
        "call_and_ladj",
        radial_on_a_plane,
        partial(flow_ladj, RADIAL),
    ),
    Bug("radial forgets its centre", RadialTransform, "_inverse", centre_forgotten, partial(flow_inverse, RADIAL)),
    Bug(
        "columns are not orthonormal",
        Sylvester,
        "_orthonormal",
        raw_columns,
        partial(flow_ladj, case("flow", "sylvester", (4,), 3)),
    ),
    Bug(
        "Sylvester is not made invertible",
        Sylvester,
        "_triangle",
        open_diagonal,
        partial(
            test_bijections.test_sylvester_is_a_bijection_at_any_size_of_its_parameters, "triangular", torch.float64
        ),
    ),
    Bug(
        "a diagonal is rounded to 1",
        Sylvester,
        "_triangle",
        rounded_to_one,
        partial(
            test_bijections.test_sylvester_is_a_bijection_at_any_size_of_its_parameters, "triangular", torch.float64
        ),
    ),
    Bug(
        "autocast multiplies a flow's matrices",
        sylvester,
        "applied",
        autocast_product,
        test_bijections.test_matrices_are_not_multiplied_in_half_precision,
    ),
    Bug(
        "a reflection that projects",
        Reflected,
        "call_and_ladj",
        projected_away,
        test_bijections.test_householder_is_nflows,
    ),
    Bug(
        "a permutation is taken for its own inverse",
        Permuted,
        "_inverse",
        same_order_back,
        partial(flow_inverse, case("flow", "permutation", (16,), 0, form="random")),
    ),
    Bug(
        "the diagonal is taken for its logarithm",
        LU,
        "call_and_ladj",
        signed_diagonal,
        partial(flow_ladj, case("flow", "lu", (4,), 0)),
    ),
    Bug(
        "a root has the gradient of its bracket",
        planar,
        "increasing_root",
        root_of_the_bracket,
        partial(test_flows.test_gradients_of_the_way_back_are_exact, PLANAR),
    ),
    Bug(
        "amortised parameters have no common start",
        Parameters,
        "forward",
        amortised_from_nothing,
        partial(test_modules.test_gradients_reach_every_parameter, RADIAL),
    ),
    Bug(
        "the root of a low-rank covariance lacks the identity",
        LowRankNormal,
        "_bent",
        bent_by_the_factor,
        partial(density_of_map, LOWRANK),
    ),
    Bug(
        "the variance of a low-rank normal is that of its diagonal",
        LowRankNormal,
        "variance",
        property(lambda self: (2 * self.log_scale).exp()),
        partial(test_kl.test_sampling_confirms_the_closed_form, test_kl.low_rank),
    ),
    Bug(
        "a start from data takes one side of the map for the other",
        Moments,
        "start_from",
        of_the_wrong_side,
        partial(test_starting.test_what_comes_out_is_standardised_whichever_way_data_pass, True),
    ),
    Bug(
        "weights on file do not say that they have started",
        FromData,
        "set_extra_state",
        started_in_secret,
        test_starting.test_weights_that_have_started_never_start_again,
    ),
    Bug(
        "every coupling keeps the same half",
        RealNVP,
        "_coupling",
        turns_taken_by_no_one,
        partial(test_bijections.test_realnvp_is_normflows, "affine"),
    ),
    Bug(
        "a masked autoregressive flow runs the wrong way",
        MAF,
        "forward",
        unturned,
        test_bijections.test_maf_is_a_chain_of_conditional_normals,
    ),
    Bug(
        "parts are inverted in the order they are applied",
        Composed,
        "_inverse",
        first_part_first,
        partial(flow_inverse, IAF),
    ),
    Bug(
        "only the last determinant counts", Composed, "call_and_ladj", last_determinant_only, partial(flow_ladj, PLANAR)
    ),
    Bug(
        "the inverse has the map's determinant",
        Transform,
        "inverse_and_ladj",
        forward_determinant,
        partial(draw_is_scored, IAF),
    ),
    Bug(
        "a flow adds its log-determinant",
        FlowDistribution,
        "from_noise",
        minus_the_determinant,
        partial(density_of_map, IAF),
    ),
    Bug(
        "the variance scales the noise",
        DiagonalNormal,
        "from_noise",
        variance_for_deviation,
        partial(draw_is_scored, DIAGONAL),
    ),
    Bug("log_prob lacks log 2 pi", DiagonalNormal, "log_prob", without_constant, partial(draw_is_scored, DIAGONAL)),
    Bug(
        "2 pi is forgotten everywhere",
        diagonal,
        "HALF_LOG_2PI",
        0.0,
        partial(test_densities.test_the_density_integrates_to_one, case("family", "diagonal", (2,))),
    ),
    Bug("L^T for L", FullNormal, "from_noise", covariance_for_factor, partial(draw_is_scored, FULL)),
    Bug(
        "autocast blurs full-covariance draws",
        FullNormal,
        "from_noise",
        half_precision_product,
        partial(test_densities.test_half_precision_networks_do_not_blur_the_density, FULL),
    ),
    Bug(
        "the triangle is filled by columns",
        full.Full,
        "__call__",
        triangle_by_columns,
        partial(test_kl.test_families_read_their_parameters_in_the_order_they_say, "full"),
    ),
    Bug("a scale underflows to zero", diagonal, "positive", may_reach_zero, partial(collapse, DIAGONAL, -1e4)),
    Bug(
        "a Cholesky diagonal underflows to zero",
        full,
        "positive",
        may_reach_zero,
        partial(collapse, FULL, -1e4),
        (ValueError,),  # torch's own check of arguments, which the tests leave on
    ),
    Bug("a scale overflows", diagonal, "positive", overflowing, partial(collapse, DIAGONAL, 1e4)),
    Bug(
        "KL(p || q) for KL(q || p)",
        diagonal,
        "kl_per_dimension",
        reversed_divergence,
        partial(test_kl.test_sampling_confirms_the_closed_form, test_kl.normal),
    ),
    Bug(
        "drawing and then scoring inverts the flow",
        Reparameterised,
        "rsample_and_log_prob",
        drawn_then_scored,
        partial(spied, test_never_inverts.test_training_never_inverts, test_never_inverts.FLOWED[0], "elbo"),
    ),
    Bug(
        "the noise of generation stays on the CPU",
        Reparameterised,
        "_standard_normal",
        noise_on_the_cpu,
        partial(test_latents.test_generation_follows_the_model_to_its_device, FLAT),
        (RuntimeError,),
    ),
    Bug("temperature does nothing to a mixture", Mixture, "draw", deaf_to_temperature, partial(moments, 0.5)),
    Bug("temperature sharpens weights", Mixture, "draw", choices_have_a_temperature, partial(moments, 0.5)),
    Bug("each coordinate has its component", Mixture, "draw", a_component_for_each_coordinate, partial(moments, 1.0)),
    Bug(
        "the weights of a mixture do not add up to 1",
        MixturePrior,
        "forward",
        unnormalised,
        partial(test_densities.test_the_density_integrates_to_one, case("prior", "mixture", (2,), 0)),
    ),
    Bug(
        "a flow prior runs from the noise to points",
        FlowPrior,
        "forward",
        run_from_the_noise,
        partial(spied, test_never_inverts.test_training_a_flow_prior_never_inverts, "iaf"),
    ),
    Bug(
        "a prior adopts the posterior's parameters",
        Vamp,
        "bind",
        adopts_the_posterior,
        partial(test_priors.test_vamp_trains_its_posterior_through_the_prior_and_owns_nothing_of_it, "features"),
    ),
    Bug(
        "the likelihood saturates",
        Bernoulli,
        "log_prob",
        saturating,
        partial(test_bernoulli.test_extreme_logits_score_exactly, torch.float32),
    ),
    Bug(
        "softplus is cut where only single precision agrees",
        Bernoulli,
        "_log_partition",
        property(lambda self: softplus(self.logits)),
        test_bernoulli.test_it_is_torchs,
    ),
    Bug(
        "log p(x | z) is a mean over pixels",
        Bernoulli,
        "log_prob",
        mean_over_pixels,
        partial(test_likelihoods.test_all_data_together_have_probability_one, PIXELS),
    ),
    Bug(
        "the mean of the likelihood is its mode",
        BernoulliLikelihood,
        "forward",
        sharpened,
        partial(test_likelihoods.test_all_data_together_have_probability_one, PIXELS),
    ),
    Bug(
        "all samples of a datum are one draw",
        Flat,
        "walk",
        one_draw_for_all_samples,
        partial(test_latents.test_samples_of_a_datum_are_independent, FLAT),
    ),
    Bug(
        "given noise is not used",
        latents.FromPosterior,
        "__call__",
        deaf_to_noise,
        partial(test_latents.test_noise_is_asked_for_once_a_group_in_order, FLAT),
    ),
    Bug("another prior is scored", latents.FromPosterior, "__call__", prior_of_the_posterior, exact),
    Bug(
        "temperature does nothing",
        latents.FromPrior,
        "__call__",
        cold,
        partial(test_latents.test_temperature_scales_the_noise, FLAT),
    ),
    Bug("the flow sees the batch's average context", Flowed, "forward", given_the_mean, partial(loop, FLOWED)),
    Bug(
        "data share their likelihood",
        VAE,
        "trace",
        sum_over_the_batch,
        partial(test_models.test_a_datum_counts_alone, MODEL),
    ),
    Bug("log w adds the KL", Trace, "log_w", property(plus_the_divergence), exact),
    Bug(
        "the importance-weighted bound forgets to divide by K",
        objectives,
        "log_mean_exp",
        sum_of_weights,
        partial(test_linear_gaussian.test_under_the_exact_posterior_every_bound_is_the_evidence, 10),
    ),
    Bug(
        "iwae averages logarithms",
        IWAE,
        "forward",
        mean_of_logarithms,
        test_objectives.test_iwae_is_the_log_of_the_mean_weight,
    ),
    Bug(
        "beta weighs both terms",
        ELBO,
        "forward",
        beta_on_everything,
        test_objectives.test_elbo_is_distortion_plus_beta_rate,
    ),
    Bug(
        "the KL has no gradient",
        ELBO,
        "forward",
        detached_divergence,
        test_objectives.test_the_slope_of_the_loss_is_that_of_its_terms,
    ),
    Bug(
        "a tensor decides the flow of Python",
        ELBO,
        "forward",
        looks_at_values,
        partial(test_models.test_a_training_step_traces_without_a_break, MODEL),
        (torch._dynamo.exc.Unsupported,),
    ),
    Bug(
        "free bits are granted to each datum",
        FreeBits,
        "forward",
        free_bits_of_each_datum,
        test_objectives.test_free_bits_charge_no_group_less_than_its_free_nats,
    ),
    Bug(
        "warm-up in epochs counts steps",
        objectives._Annealed,
        "weight",
        warmed_up_by_step,
        partial(test_objectives.test_beta_warms_up_and_cycles, "elbo"),
    ),
    Bug(
        "an analytic KL is silently sampled",
        objectives,
        "group_kl",
        silently_sampled,
        partial(test_objectives.test_an_analytic_kl_under_a_flow_is_refused, "elbo"),
    ),
    Bug(
        "the fused posterior does not hear its parents",
        Fused,
        "forward",
        deaf_to_the_prior,
        partial(test_graph.test_the_posterior_is_what_the_datum_and_the_parents_say_together, False),
    ),
    Bug(
        "fusion weighs means alike",
        Fused,
        "forward",
        means_weighed_alike,
        partial(test_graph.test_the_posterior_is_what_the_datum_and_the_parents_say_together, False),
    ),
    Bug(
        "gates gate nothing",
        LearnedGates,
        "forward",
        all_gates_open,
        partial(test_graph.test_with_all_gates_shut_the_nodes_are_independent, None),
    ),
    Bug("gates lie on other edges", graph, "candidates", children_first, test_graph.test_a_gate_is_that_of_its_edge),
    Bug(
        "nodes are scored by N(0, I)",
        Graph,
        "walk",
        standard_for_the_graph,
        partial(test_latents.test_the_terms_are_those_of_their_distributions, GRAPH),
    ),
    Bug(
        "the score function climbs the loss",
        Score,
        "surcharge",
        credit_turned_round,
        partial(test_graph.test_the_score_function_is_unbiased, SCORE),
    ),
    Bug(
        "a batch that is left out stays in the baseline",
        Score,
        "surcharge",
        learns_from_all,
        test_graph.test_a_batch_that_is_not_finite_teaches_the_baseline_nothing,
    ),
    Bug(
        "a ladder's decoder sees the top",
        Graph,
        "walk",
        the_first_visited,
        partial(test_graph.test_the_decoder_sees_the_nodes_by_their_number_or_the_last_visited, "last", [0, 0]),
    ),
    Bug(
        "hard gates let no gradient through",
        StraightThrough,
        "gates",
        no_way_through,
        test_graph.test_straight_through_has_the_value_and_the_exact_gradient_of_what_is_linear_in_each_gate,
        (RuntimeError,),
    ),
    Bug(
        "a frozen graph is open when it is loaded",
        LearnedGates,
        "get_extra_state",
        lambda self: False,
        test_graph.test_frozen_gates_are_the_likely_graph_and_survive_a_save,
    ),
    Bug(
        "no graph is drawn to be averaged over",
        LearnedGates,
        "settled",
        unsettled,
        test_graph.test_settled_gates_are_drawn_by_their_means_and_left_as_they_were,
    ),
    Bug(
        "batch norm looks at the batch in evaluation mode",
        BatchNorm,
        "forward",
        mean_of_the_batch,
        partial(loop, NORMED),
    ),
    Bug("a name is taken twice", test_registry, "register", unchecked, name_is_taken_once),
    Bug(
        "a nested table is not validated",
        components,
        "resolve",
        unvalidated,
        partial(test_registry.test_a_wrong_specification_is_told_where_and_how, {"dim": 0}, "latents.dim: expected"),
    ),
    Bug(
        "a softmax of a softmax",
        StepDensity,
        "_logits",
        softmax_twice,
        test_sequences.test_it_is_the_cross_entropy_of_a_loop_by_hand,
    ),
    Bug(
        "soft outputs are fed back",
        SequenceLikelihood,
        "advance",
        soft_feedback,
        partial(test_sequences.test_running_free_on_given_steps_is_teacher_forcing, "lstm"),
    ),
    Bug(
        "padding is counted",
        SequenceDistribution,
        "log_prob",
        padding_counted,
        partial(test_sequences.test_what_stands_behind_the_end_changes_nothing, "lstm"),
    ),
    Bug(
        "the end is not counted",
        SequenceDistribution,
        "log_prob",
        end_not_counted,
        partial(test_sequences.test_probabilities_of_all_sequences_sum_to_one, "lstm", test_sequences.WORDS),
    ),
    Bug(
        "a step sees itself",
        SequenceLikelihood,
        "teach",
        shown_what_it_predicts,
        partial(test_sequences.test_probabilities_of_all_sequences_sum_to_one, "gru", test_sequences.WORDS),
    ),
    Bug(
        "decoding forgets its state",
        SequenceLikelihood,
        "advance",
        without_a_state,
        partial(test_sequences.test_decoding_with_a_state_is_rerunning_the_prefix, "gru"),
    ),
    Bug(
        "words are hidden in evaluation too",
        SequenceLikelihood,
        "_run",
        hidden_in_evaluation_too,
        test_sequences.test_hidden_steps_are_hidden_in_training_alone,
    ),
    Bug(
        "an encoder reads the padding",
        rnn,
        "lengths",
        padding_read,
        partial(test_sequences.test_an_encoder_reads_nothing_behind_the_end, {"name": "rnn", "cell": "gru"}),
    ),
    Bug(
        "a truncated density without its normaliser",
        UnitFeature,
        "log_prob",
        not_truncated,
        partial(test_sequences.test_features_have_densities, 1.0),
    ),
    Bug(
        "the outer bins are no wider than the others",
        DiscretisedLogistic,
        "elementwise",
        closed_edges,
        partial(test_levels.test_probabilities_of_all_levels_sum_to_one, 256),
    ),
    Bug(
        "a bin's mass is a difference of two ones",
        DiscretisedLogistic,
        "elementwise",
        difference_of_sigmoids,
        test_levels.test_a_value_far_from_the_location_is_scored_exactly_in_single_precision,
    ),
    Bug(
        "bins are those of bytes whatever the levels",
        DiscretisedLogistic,
        "elementwise",
        bins_of_256,
        partial(test_likelihoods.test_all_data_together_have_probability_one, LEVELS),
    ),
    Bug(
        "a mixture forgets its weights",
        MixtureOfLogistics,
        "log_prob",
        unweighted,
        test_levels.test_a_mixture_is_the_weighted_sum_of_its_components,
    ),
    Bug(
        "cross-entropy is taken for the density of grey pixels",
        ContinuousBernoulli,
        "log_prob",
        without_normaliser,
        test_levels.test_a_continuous_bernoulli_integrates_to_one,
    ),
    Bug(
        "a density of bytes is told in bits",
        GaussianLikelihood,
        "accepts",
        ("levels",),
        test_levels.test_bits_are_of_a_probability_of_bytes,
    ),
    Bug(
        "a channel sees itself and later ones",
        masked_conv,
        "_mask",
        centre_tap_open,
        partial(test_masked_conv.test_an_output_sees_what_precedes_it_and_nothing_else, False, 2, 1, False, 3, False),
    ),
    Bug(
        "pixels to the left are masked away",
        masked_conv,
        "_mask",
        whole_row_above_only,
        partial(test_masked_conv.test_an_output_sees_what_precedes_it_and_nothing_else, False, 2, 1, False, 3, False),
    ),
    Bug(
        "the reversed order turns rows round, not pixels",
        masked_conv,
        "_mask",
        rows_alone_reversed,
        partial(test_masked_conv.test_an_output_sees_what_precedes_it_and_nothing_else, False, 2, 1, False, 3, True),
    ),
    Bug(
        "weights are normalised together",
        Normed,
        "_length",
        length_of_the_whole_weight,
        partial(test_images.test_gain_is_the_length_of_every_weight_vector, "conv"),
    ),
    Bug(
        "the prior that is scored is not the one that generates",
        Rung,
        "forward",
        prior_beside_the_stream,
        partial(test_latents.test_the_prior_that_is_scored_generates, LADDER),
    ),
    Bug(
        "rungs read the maps of others",
        Ladder,
        "_unpacked",
        maps_by_columns,
        test_ladder.test_weighted_inference_multiplies_what_is_below_with_the_prior,
        (AssertionError, RuntimeError),
    ),
    Bug(
        "latents do not enter the stream",
        Rung,
        "forward",
        stream_as_it_was,
        test_ladder.test_a_prior_sees_the_rungs_above_alone,
    ),
    Bug(
        "one rung too many is inferred",
        Mixed,
        "__call__",
        all_inferred,
        test_ladder.test_the_top_rungs_are_inferred_and_the_rest_generated,
    ),
    Bug(
        "checkpoints of a ladder keep everything",
        rung,
        "checkpointed",
        kept_all_the_same,
        partial(test_ladder.test_checkpointing_keeps_less_and_changes_no_gradient, "latents"),
    ),
    Bug(
        "maps grow by transposed convolutions alone",
        resnet,
        "double",
        transposed_whatever_is_asked,
        partial(test_images.test_maps_grow_by_repetition_where_that_is_asked_for, True),
    ),
    Bug(
        "free bits are granted to each pixel",
        FreeBits,
        "_kl",
        free_bits_of_each_pixel,
        partial(test_ladder.test_free_bits_are_granted_to_every_channel_of_every_rung, "none"),
    ),
    Bug(
        "a coordinate behind a flow costs what it did before it",
        FlowDistribution,
        "terms_from_noise",
        terms_of_the_base,
        partial(test_objectives.test_behind_a_flow_coordinates_are_charged_on_average_what_they_cost, 0.0),
    ),
    Bug(
        "noise takes bytes out of their cells",
        Split,
        "_spreads",
        False,
        test_dequantise.test_noise_keeps_every_value_in_its_cell_and_is_afresh_in_every_batch,
    ),
    Bug(
        "learned noise is not paid for",
        VAE,
        "trace",
        noise_for_nothing,
        test_dequantised.test_the_bound_is_below_log_p_and_many_draws_reach_it,
    ),
    Bug(
        "learned noise takes bytes out of their cells",
        Dequantised,
        "_spread",
        noise_beyond_its_cell,
        test_dequantised.test_without_a_posterior_of_its_own_the_noise_is_uniform,
    ),
    Bug(
        "a normalised kernel forgets its mask",
        Normed,
        "_vectors",
        vectors_without_their_mask,
        partial(test_masked_conv.test_an_output_sees_what_precedes_it_and_nothing_else, True, 2, 1, False, 3, False),
    ),
    Bug(
        "moments keep the layout of their checkpoint",
        optim,
        "load_moments",
        moments_in_the_layout_of_their_file,
        test_layout.test_moments_are_laid_out_as_their_parameters,
    ),
    Bug(
        "results of another recipe are dropped before their successors are there",
        results,
        "_runs",
        rows_alone,
        partial(
            on_a_tiny_study,
            test_results.test_results_of_another_recipe_stay_out_of_the_table_until_their_successors_come,
        ),
    ),
]
