"""Objectives by hand."""

from typing import Any

import pytest
import torch
from torch.distributions import kl_divergence
from torch.testing import assert_close

from flowvae import InputError, Trace, registry
from flowvae.distributions import DiagonalNormal, FlowDistribution, standard_normal
from flowvae.distributions.diagonal import kl_per_dimension
from flowvae.latents import FromPosterior, Latent
from flowvae.transforms import Affine, Autoregressive, Composed
from tests.laws.catalogue import model, models, part

DIAGONAL = next(tables for tables in models() if part(tables, "posterior", "flow") is None)
FLOWED = next(tables for tables in models() if part(tables, "posterior", "flow"))


def objective(name: str, **options: Any) -> Any:
    return registry.build("objective", {"name": name, **options})


def trace(samples: int = 3, groups: int = 2) -> Trace:
    """Terms of two diagonal groups of two dimensions, four data."""
    latents = []
    for _ in range(groups):
        loc, log_scale = torch.randn(2, 4, 2, dtype=torch.float64)
        q, p = DiagonalNormal(loc, 0.3 * log_scale).expand((samples, 4)), standard_normal(loc).expand((samples, 4))
        latents.append(FromPosterior()(0, p, lambda q=q: q))
    return Trace(torch.randn(samples, 4, dtype=torch.float64) - 5, tuple(latents))


def test_elbo_is_distortion_plus_beta_rate() -> None:
    t = trace()
    rate = sum(kl_divergence(latent.q, latent.p).mean() for latent in t.latents)
    sampled = sum((latent.log_q - latent.log_p).mean() for latent in t.latents)
    for beta in (0.0, 0.5, 1.0, 4.0):
        assert_close(objective("elbo", kl="analytic")(t, beta), -t.log_px.mean() + beta * rate, rtol=1e-12, atol=0)
        assert_close(
            objective("elbo", kl="monte-carlo")(t, beta), -t.log_px.mean() + beta * sampled, rtol=1e-12, atol=0
        )
    assert_close(objective("elbo", kl="monte-carlo")(t), -t.log_w.mean(), rtol=1e-12, atol=0)


def test_a_tempered_joint_is_raised_to_beta() -> None:
    t = trace()
    log_q = sum(latent.log_q.mean() for latent in t.latents)
    joint = t.log_px.mean() + sum(latent.log_p.mean() for latent in t.latents)
    for beta in (0.0, 0.3, 1.0):
        assert_close(objective("tempered")(t, beta), log_q - beta * joint, rtol=1e-12, atol=0)
    assert_close(objective("tempered")(t), -t.log_w.mean(), rtol=1e-12, atol=0)
    rising = objective("tempered", start=0.2, warmup=4.0)
    assert [rising.weight(step, 10) for step in (0, 20, 40, 90)] == pytest.approx([0.2, 0.6, 1.0, 1.0])


def test_the_analytic_bound_is_the_mean_of_the_sampled_one() -> None:
    """Within 4 standard errors."""
    vae, x = model(DIAGONAL).requires_grad_(False), torch.ones(1, 4).double()
    analytic = objective("elbo", kl="analytic")
    sampled = objective("elbo", kl="monte-carlo")
    difference = torch.stack([sampled(t) - analytic(t) for t in (vae(x) for _ in range(400))])
    assert difference.mean().abs() < 4 * difference.std() / len(difference) ** 0.5


def test_auto_is_analytic_where_a_closed_form_is_known() -> None:
    t = trace()
    assert torch.equal(objective("elbo")(t), objective("elbo", kl="analytic")(t))
    flowed = model(FLOWED)(torch.ones(2, 4).double())
    assert torch.equal(objective("elbo")(flowed), objective("elbo", kl="monte-carlo")(flowed))


@pytest.mark.parametrize("name", ["elbo", "free_bits"])
def test_an_analytic_kl_under_a_flow_is_refused(name: str) -> None:
    with pytest.raises(
        InputError, match=r"^expected a closed form of KL\(FlowDistribution \|\| DiagonalNormal\); got none: use"
    ):
        objective(name, kl="analytic")(model(FLOWED)(torch.ones(2, 4).double()))


def test_free_bits_charge_no_group_less_than_its_free_nats() -> None:
    """max(free, KL averaged over the batch), a group or a coordinate at a time."""
    t = trace()
    loc, log_scale = t.latents[0].q.loc, t.latents[0].q.log_scale
    for free in (0.0, 0.4, 2.0):
        groups = sum(max(free, kl_divergence(latent.q, latent.p).mean().item()) for latent in t.latents)
        expected = -t.log_px.mean().item() + 0.5 * groups
        assert objective("free_bits", free=free)(t, 0.5).item() == pytest.approx(expected, rel=1e-12)
    one = Trace(t.log_px, t.latents[:1])
    by_hand = 0.5 * (torch.exp(2 * log_scale) + loc**2 - 1) - log_scale
    for free in (0.0, 0.2, 1.0):
        expected = -t.log_px.mean() + by_hand.mean((0, 1)).clamp(min=free).sum()
        assert_close(objective("free_bits", free=free, per="dimension")(one), expected, rtol=1e-12, atol=0)


def test_free_nats_have_no_slope() -> None:
    loc = torch.full((1, 4, 2), 0.1, dtype=torch.float64, requires_grad=True)
    q, p = DiagonalNormal(loc, torch.zeros_like(loc)), standard_normal(torch.zeros_like(loc))
    t = Trace(torch.zeros(1, 4, dtype=torch.float64), (Latent(loc, q.log_prob(loc), p.log_prob(loc), q, p),))
    (free,) = torch.autograd.grad(objective("free_bits", free=1.0)(t), loc)
    (paid,) = torch.autograd.grad(objective("free_bits", free=0.0)(t), loc)
    assert (free == 0).all()
    assert_close(paid, loc.detach() / 4, rtol=1e-12, atol=0)


def test_free_bits_per_dimension_want_a_density_that_is_a_sum_over_coordinates() -> None:
    planar = next(tables for tables in models() if part(tables, "posterior", "flow") == "planar")
    with pytest.raises(InputError, match=r"got FlowDistribution and DiagonalNormal: use objective.per = 'group'$"):
        objective("free_bits", per="dimension")(
            model(planar)(torch.ones(2, 4).double(), draw=FromPosterior(terms=True))
        )
    with pytest.raises(InputError, match=r"unless objective.kl = 'analytic'"):
        objective("free_bits", per="dimension", kl="analytic")(behind_a_flow()[0])


def behind_a_flow(samples: int = 1) -> tuple[Trace, DiagonalNormal, DiagonalNormal]:
    """Draws from a normal behind a step that shifts and scales every coordinate by itself: from a normal, that is."""
    loc, log_scale, m, s = torch.randn(4, 3, dtype=torch.float64)
    p = DiagonalNormal(torch.randn(3).double(), 0.3 * torch.randn(3).double()).expand((samples, 1))
    step = Autoregressive(lambda x: (m.expand_as(x), s.expand_as(x)), Affine(bound=1e6))
    q = FlowDistribution(DiagonalNormal(loc, 0.3 * log_scale), Composed([step])).expand((samples, 1))
    latent = FromPosterior(terms=True)(0, p, lambda: q)
    exact = DiagonalNormal(loc * s.exp() + m, 0.3 * log_scale + s).expand((samples, 1))
    return Trace(torch.zeros(samples, 1).double(), (latent,)), exact, p


@pytest.mark.parametrize("free", [0.0, 0.5])
def test_behind_a_flow_coordinates_are_charged_on_average_what_they_cost(free: float) -> None:
    """Within 5 standard errors of the closed form."""
    t, q, p = behind_a_flow(100_000)
    exact = kl_per_dimension(q, p)[0, 0]
    found = t.latents[0].terms - p.log_terms(t.latents[0].z)
    error = found.flatten(0, -2).std(0) / len(found) ** 0.5
    assert ((found.mean((0, 1)) - exact).abs() < 5 * error).all()
    charged = objective("free_bits", free=free, per="dimension")(t)
    assert_close(charged, found.mean((0, 1)).clamp(min=free).sum(), rtol=1e-12, atol=0)
    assert (exact > 0.5).any()
    assert (exact < 0.5).any()


def test_iwae_is_the_log_of_the_mean_weight() -> None:
    t = trace(samples=7)
    assert_close(objective("iwae")(t), -t.log_w.exp().mean(0).log().mean(), rtol=1e-10, atol=0)
    one = trace(samples=1)
    assert_close(objective("iwae", samples=1)(one), objective("elbo", kl="monte-carlo")(one), rtol=1e-12, atol=0)
    assert objective("iwae")(t) < objective("elbo", kl="monte-carlo")(t)
    extreme = Trace(t.log_px - 1e5, t.latents)
    assert_close(objective("iwae")(extreme), objective("iwae")(t) + 1e5, rtol=1e-10, atol=0)


@pytest.mark.parametrize("name", ["elbo", "free_bits"])
def test_beta_warms_up_and_cycles(name: str) -> None:
    def weights(steps: list[int], **spec: Any) -> list[float]:
        return [objective(name, **spec).weight(step, 10) for step in steps]

    assert weights([0, 7, 1000]) == [1.0, 1.0, 1.0]
    assert weights([0, 7], beta=4.0) == [4.0, 4.0]
    assert weights([0, 5, 10, 20, 30], warmup=2.0) == [0.0, 0.25, 0.5, 1.0, 1.0]
    assert weights([0, 1, 2, 3], beta=0.5, warmup=2.0, unit="step") == [0.0, 0.25, 0.5, 0.5]
    steps = [0, 1, 2, 3, 4, 5, 8, 9]
    assert weights(steps, warmup=2.0, period=4.0, unit="step") == [0.0, 0.5, 1.0, 1.0, 0.0, 0.5, 0.0, 0.5]
    assert weights([0, 20, 40], warmup=2.0, period=4.0) == [0.0, 1.0, 0.0]


def test_a_period_shorter_than_its_warm_up_is_refused() -> None:
    with pytest.raises(InputError, match=r"^expected objective.period of at least objective.warmup = 5.0; got 2.0"):
        objective("elbo", warmup=5.0, period=2.0)


@pytest.mark.parametrize("name", ["elbo", "free_bits"])
def test_a_period_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"^expected objective.warmup with objective.period = 2.0; got none"):
        objective(name, period=2.0)


def test_iwae_has_no_beta() -> None:
    assert objective("iwae").weight(0, 10) == 1.0
    assert objective("iwae", samples=5).samples == 5


def test_more_draws_average_the_bound() -> None:
    t = trace(samples=6)
    halves = [
        Trace(t.log_px[part], tuple(_part(latent, part) for latent in t.latents)) for part in (slice(3), slice(3, 6))
    ]
    sampled = objective("elbo", kl="monte-carlo")
    assert_close(sampled(t), (sampled(halves[0]) + sampled(halves[1])) / 2, rtol=1e-12, atol=0)


def _part(latent: Latent, part: slice) -> Latent:
    return Latent(latent.z[part], latent.log_q[part], latent.log_p[part], latent.q, latent.p)


def test_the_slope_of_the_loss_is_that_of_its_terms() -> None:
    """By hand for the analytic KL to N(0, I), d/dmu = mu and d/dlog sigma = sigma^2 - 1; on average for the sampled."""
    loc = torch.tensor([0.5, -1.0], dtype=torch.float64, requires_grad=True)
    log_scale = torch.tensor([-0.3, 0.2], dtype=torch.float64, requires_grad=True)
    q, p = DiagonalNormal(loc, log_scale).expand((20_000, 1)), standard_normal(loc).expand((20_000, 1))
    latent = FromPosterior()(0, p, lambda: q)
    t = Trace(3 * latent.z.sum(-1), (latent,))
    kl = torch.stack([loc, torch.exp(2 * log_scale) - 1]).detach()
    reward = torch.stack([torch.full((2,), 3.0), torch.zeros(2)]).double()  # of E log p(x | z) = 3 sum mu
    for name, beta in (("analytic", 1.0), ("analytic", 0.3), ("monte-carlo", 0.3)):
        slope = torch.stack(
            torch.autograd.grad(objective("elbo", kl=name)(t, beta), [loc, log_scale], retain_graph=True)
        )
        assert_close(slope, beta * kl - reward, rtol=0, atol=0.1)
    difference = [objective("elbo", kl="analytic")(t, beta) for beta in (1.0, 0.0)]
    exact = torch.stack(torch.autograd.grad(difference[0] - difference[1], [loc, log_scale]))
    assert_close(exact, kl, rtol=1e-10, atol=1e-10)
