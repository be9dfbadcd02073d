"""What is particular to each prior: closed forms, other libraries, moments of draws, and the meaning of temperature."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal
from torch.testing import assert_close

from flowvae import InputError, build_model, fit, load, load_data, registry
from flowvae.distributions import DiagonalNormal, Mixture, sample_and_log_prob
from flowvae.engine.start import start_from_data
from flowvae.latents import FromPosterior, FromPrior
from tests.laws.catalogue import STEPS, Case, generic

COUNT = 40_000
PRIORS: list[dict[str, Any]] = [
    {"name": "standard"},
    {"name": "mixture", "components": 3},
    {"name": "vamp", "components": 3},
    {"name": "autoregressive", "components": 1, "width": 12},
    {"name": "autoregressive", "components": 3, "width": 12},
    {"name": "flow", "flow": {"name": "iaf", "width": 12}},
]
priors = pytest.mark.parametrize("spec", PRIORS, ids=lambda spec: f"{spec['name']}-{spec.get('components', '')}")
temperatures = pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0, 1.5])


def prior(spec: dict[str, Any], dim: int = 2, context: int = 0) -> Any:
    return generic(Case("prior", spec, ((dim,), context)).build(), size=0.7)


def mixture(dim: int = 2) -> Mixture:
    return prior({"name": "mixture", "components": 3}, dim)(torch.zeros(0, dtype=torch.float64))


def draws(p: Any, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        return sample_and_log_prob(p.expand((COUNT,)), temperature)


def assert_means(found: Tensor, expected: Tensor) -> None:
    """Averages of rows within 5 standard errors."""
    error = found.std(0) / len(found) ** 0.5
    assert ((found.mean(0) - expected).abs() <= 5 * error + 1e-9).all()


def seconds(z: Tensor) -> Tensor:
    """First and second moments of a point, flat."""
    return torch.cat([z, (z[..., :, None] * z[..., None, :]).flatten(-2)], -1)


@pytest.mark.parametrize("spec", [{"name": "mixture", "components": 3}, {"name": "autoregressive"}])
def test_draws_by_choice_carry_no_gradient(spec: dict[str, Any]) -> None:
    """Their density does."""
    z, log_p = sample_and_log_prob(prior(spec)(torch.zeros(4, 0, dtype=torch.float64)))
    assert (z.requires_grad, log_p.requires_grad) == (False, True)


def test_a_temperature_scales_the_noise_of_the_same_seed() -> None:
    """In double precision, which noise in single precision would not reach."""
    p = DiagonalNormal(torch.randn(5, 2, dtype=torch.float64), torch.randn(5, 2, dtype=torch.float64))
    found = []
    for temperature in (1.0, 0.5):
        torch.manual_seed(1)
        found.append(sample_and_log_prob(p, temperature)[0] - p.loc)
    assert_close(found[1], 0.5 * found[0], rtol=1e-12, atol=1e-14)


@priors
def test_draws_have_the_density_that_scores_them(spec: dict[str, Any]) -> None:
    """First and second moments and the entropy, of draws and by integration over a grid."""
    p = prior(spec)(torch.zeros(0, dtype=torch.float64))
    axis = torch.arange(-15, 15.01, 0.1, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        log_p = p.log_prob(grid)
    weights = log_p.exp() * 0.1**2
    assert_close(weights.sum(), torch.ones_like(log_p[0]), rtol=0, atol=1e-3)
    expected = (weights[:, None] * torch.cat([seconds(grid), log_p[:, None]], -1)).sum(0)
    z, log_p = draws(p)
    assert_means(torch.cat([seconds(z), log_p[:, None]], -1), expected)


def test_a_mixture_is_torchs() -> None:
    p, z = mixture(), torch.randn(7, 2, dtype=torch.float64)
    normals = Normal(p.components.loc, p.components.stddev)
    theirs = MixtureSameFamily(Categorical(logits=p.log_weights), Independent(normals, 1))
    assert_close(p.log_prob(z), theirs.log_prob(z), rtol=1e-10, atol=1e-10)
    assert_close(p.log_weights.exp().sum(), torch.ones_like(z[0, 0]), rtol=1e-12, atol=1e-12)


@temperatures
def test_the_moments_of_a_mixture_at_a_temperature(temperature: float) -> None:
    """E z = sum_k w_k mu_k and E z z' = sum_k w_k (mu_k mu_k' + T^2 S_k): weights are as they are."""
    p = mixture()
    w, loc = p.log_weights.exp().detach(), p.components.loc.detach()
    second = loc[:, :, None] * loc[:, None, :] + temperature**2 * torch.diag_embed(p.components.variance.detach())
    expected = torch.cat([(w[:, None] * loc).sum(0), (w[:, None, None] * second).sum(0).flatten()])
    z, log_p = draws(p, temperature)
    assert_means(seconds(z), expected)
    assert_close(log_p, p.log_prob(z), rtol=1e-12, atol=1e-12)
    assert len(z.unique(dim=0)) == (COUNT if temperature else 3)


def test_a_rare_component_is_chosen_as_often_as_its_weight_says() -> None:
    components = registry.build("family", "diagonal", (1,))(torch.tensor([[0.0, -9.0], [5.0, -9.0], [9.0, -9.0]]))
    p = Mixture(torch.tensor([0.95, 0.05, 0.0]).log(), components)
    z, _ = draws(p)
    assert_means((z > 3).double(), torch.tensor([0.05], dtype=torch.float64))
    assert not (z > 7).any()


@pytest.mark.parametrize("context", [0, 3])
def test_an_autoregressive_prior_is_the_product_of_its_conditionals(context: int) -> None:
    """Coordinate after coordinate: a mixture by torch, its parameters from a pass over the coordinates before it."""
    ours = prior({"name": "autoregressive", "components": 3, "width": 12}, 5, context)
    c, z = torch.randn(7, context).double(), torch.randn(7, 5).double()
    total = torch.zeros(7, dtype=torch.float64)
    for i in range(5):
        known = z.masked_fill(torch.arange(5) >= i, 0.0)
        phi = torch.stack(ours.net(known, c if context else None), -1)[:, i]
        s, loc, scale = phi.unflatten(-1, (3, 3)).unbind(-2)
        normals = Normal(loc, torch.nn.functional.softplus(scale + torch.expm1(torch.ones(())).log()))
        total += MixtureSameFamily(Categorical(logits=s), normals).log_prob(z[:, i])
    assert_close(ours(c).log_prob(z), total, rtol=1e-6, atol=1e-6)


@temperatures
def test_temperature_scales_every_conditional(temperature: float) -> None:
    """(z_i - m_i) / s_i has mean 0 and variance T^2, and coordinates do not share their noise."""
    ours = prior({"name": "autoregressive", "components": 1, "width": 12}, 9)
    p = ours(torch.zeros(0, dtype=torch.float64))
    z, _ = draws(p, temperature)
    with torch.no_grad():
        conditionals = p.conditional(*p.net(z)).components
    eps = (z - conditionals.loc[..., 0, 0]) / conditionals.stddev[..., 0, 0]
    expected = torch.cat([torch.zeros(9), temperature**2 * torch.eye(9).flatten()]).double()
    assert_means(seconds(eps), expected)


@temperatures
def test_temperature_scales_the_noise_of_a_flow_prior(temperature: float) -> None:
    """(f(z) - mu) / sigma has mean 0 and covariance T^2, where f is the map that scores points."""
    p = prior(PRIORS[-1], 5)(torch.zeros(0, dtype=torch.float64))
    z, _ = draws(p, temperature)
    with torch.no_grad():
        eps = (p.transform.inv(z) - p.base.mean) / p.base.stddev
    expected = torch.cat([torch.zeros(5), temperature**2 * torch.eye(5).flatten()]).double()
    assert_means(seconds(eps), expected)


def test_a_distribution_without_a_temperature_says_so() -> None:
    with pytest.raises(InputError, match="expected temperature = 1"):
        FromPrior(0.5)(0, Independent(Normal(torch.zeros(2), 1.0), 1), lambda: None)


def vamp(inputs: str) -> Any:
    latents = {"name": "flat", "dim": 2, "prior": {"name": "vamp", "components": 3, "inputs": inputs}}
    return generic(build_model({"encoder": {"width": 12}, "latents": latents}, (4,)))


pseudo = pytest.mark.parametrize("inputs", ["data", "features"])


@pseudo
def test_vamp_is_the_average_posterior_of_its_pseudo_inputs(inputs: str) -> None:
    """By Tomczak and Welling (2018), eq. 11; a change of posterior or encoder changes the prior."""
    model, z = vamp(inputs), torch.randn(7, 2).double()
    latents, encode = model.latents, model.encoder if inputs == "data" else lambda features: features
    assert latents.prior.pseudo.shape == ((3, 4) if inputs == "data" else (3, 12))
    for _ in range(2):
        p = latents.prior(torch.zeros(7, 0).double())
        posteriors = [latents.posterior(encode(u[None])[0], None).log_prob(z).exp() for u in latents.prior.pseudo]
        assert_close(p.log_prob(z), (sum(posteriors) / 3).log(), rtol=1e-10, atol=1e-10)
        with torch.no_grad():
            latents.posterior.net.weight.add_(0.1)
            next(model.encoder.parameters()).mul_(1.5)


@pseudo
def test_vamp_trains_its_posterior_through_the_prior_and_owns_nothing_of_it(inputs: str) -> None:
    model, x = vamp(inputs), torch.ones(3, 4).double()
    assert [name for name in model.state_dict() if ".prior." in name] == ["latents.prior.pseudo"]
    latent = model(x, draw=FromPosterior()).latents[0]
    score = latent.p.log_prob(torch.ones(2).double()).sum()
    weights = [model.latents.prior.pseudo, model.latents.posterior.net.weight]
    weights += [next(model.encoder.parameters())] if inputs == "data" else []
    assert all(slope.abs().max() > 0 for slope in torch.autograd.grad(score, weights))


@pseudo
def test_vamp_starts_at_training_data(inputs: str) -> None:
    data = load_data("digits", binarise="threshold")
    prior = {"name": "vamp", "components": 7, "inputs": inputs}
    model = build_model({"latents": {"dim": 2, "prior": prior}}, data)
    rows = data.train.batch(torch.linspace(0, len(data.train) - 1, 7).long())
    with torch.no_grad():
        assert_close(model.latents.prior.pseudo, rows if inputs == "data" else model.encoder(rows))


@pseudo
@pytest.mark.parametrize("encoder", ["resnet", "mlp"])
def test_vamp_starts_at_training_data_again_behind_an_encoder_that_starts_from_data(inputs: str, encoder: str) -> None:
    data = load_data("digits", binarise="threshold")
    prior = {"name": "vamp", "components": 7, "inputs": inputs}
    net = {"name": "resnet", "channels": 4, "features": 8} if encoder == "resnet" else {"name": "mlp", "width": 8}
    model = build_model({"encoder": net, "latents": {"dim": 2, "prior": prior}}, data)
    start_from_data(model, data.train, torch.arange(64))
    rows = data.train.batch(torch.linspace(0, len(data.train) - 1, 7).long())
    with torch.no_grad():
        assert_close(model.latents.prior.pseudo, rows if inputs == "data" else model.encoder(rows))
        model.latents.prior.pseudo.add_(1)
        kept = model.latents.prior.pseudo.clone()
    start_from_data(model, data.train, torch.arange(64))  # once: what was learned is not lost
    assert torch.equal(model.latents.prior.pseudo, kept)


def test_vamp_at_data_is_kept_and_copied_with_its_encoder(tmp_path: Path) -> None:
    data = load_data("digits", binarise="threshold")
    prior = {"name": "vamp", "components": 5, "inputs": "data"}
    model = build_model({"encoder": {"width": 8}, "latents": {"dim": 2, "prior": prior}}, data)
    fit(model, data, epochs=1, quiet=True, run=tmp_path / "run")
    opened, z = load(tmp_path / "run"), torch.randn(6, 2)
    scored = [m.latents.prior(torch.zeros(6, 0)).log_prob(z) for m in (model, opened, deepcopy(model))]
    assert_close(scored[1], scored[0])
    assert_close(scored[2], scored[0])
    twin = deepcopy(model)
    with torch.no_grad():
        next(twin.encoder.parameters()).zero_()
    assert not torch.equal(twin.latents.prior(torch.zeros(6, 0)).log_prob(z), scored[0])


def test_vamp_refuses_what_it_cannot_be() -> None:
    with pytest.raises(InputError, match="expected a group without parents"):
        registry.build("prior", "vamp", (2,), 3)
    with pytest.raises(InputError, match="expected a structure that tells"):
        registry.build("prior", "vamp", (2,), 0)(torch.zeros(0))
    read = registry.build("latents", {"name": "flat", "prior": {"name": "vamp", "inputs": "data"}}, 5)
    with pytest.raises(InputError, match="expected a model that tells its prior 'vamp' the encoder"):
        read.prior(torch.zeros(0))
    with pytest.raises(InputError, match="expected data that can be learned; got sequences"):
        build_model({"encoder": "rnn", "latents": {"prior": {"name": "vamp", "inputs": "data"}}}, STEPS)
    alone = {"prior": {"name": "vamp", "components": 1}}
    with pytest.raises(InputError, match="expected at least 2 data, over which norm = 'batch' normalises; got 1"):
        build_model({"encoder": {"norm": "batch"}, "latents": alone}, load_data("digits", binarise="threshold"))
    flowed = {"name": "flat", "prior": "vamp", "posterior": {"flow": "iaf"}}
    with pytest.raises(InputError, match="expected a posterior without a flow"):
        registry.build("latents", flowed, 5)
