"""Without latents the likelihood is the model: its bound is log p(x), exactly, and its density is a density."""

import pytest
import torch
from torch.testing import assert_close

import flowvae as fv
from flowvae import InputError, registry
from flowvae.config import Config
from flowvae.data.base import Split
from flowvae.evaluation import encode, reconstruct
from tests.laws.catalogue import generic

SPLINE = {"name": "spline", "width": 8, "steps": 2, "bins": 4}


def density(flow: dict | None = None) -> fv.VAE:
    torch.manual_seed(0)
    likelihood = {"name": "flow", "flow": flow or SPLINE}
    return generic(fv.build_model({"latents": "none", "likelihood": likelihood}, (2,)))


def test_the_density_integrates_to_one_and_is_that_of_the_draws() -> None:
    """On a grid of the plane; and the mean over the grid is that of many draws."""
    model, step = density(), 0.1
    axis = torch.arange(-9, 9.05, step, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        mass = model(grid).log_px[0].exp() * step**2
    assert_close(mass.sum().item(), 1.0, rtol=0, atol=2e-3)
    draws = model.sample(20_000)
    assert_close(draws.mean(0), (mass[:, None] * grid).sum(0), rtol=0, atol=0.05)


@pytest.mark.parametrize("name", ["iaf", "maf", "spline"])
def test_scoring_never_inverts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever direction a flow is written in, data are scored in its fast one."""

    def refuse(*_: object) -> None:
        raise AssertionError("inverted")

    model = density({"name": name, "width": 8, "steps": 2})
    monkeypatch.setattr("flowvae.transforms.Autoregressive._inverse", refuse)
    model(torch.randn(5, 2).double())
    with pytest.raises(AssertionError, match="inverted"):
        model.sample(5)


def test_evaluation_is_exact_with_one_weight() -> None:
    """However many samples are asked for: the bound is log p(x), the gap 0, and nothing is left to noise."""
    model, x = density().float(), torch.randn(30, 2)
    result = fv.evaluate(model, Split(x), samples=7, seed=3)
    assert result.samples == 1
    assert (result.gap, result.rate, result.kl, result.ess) == (0.0, 0.0, [], 1.0)
    assert "active units" not in str(result)
    assert_close(result.log_likelihood, model(x).log_px.mean().item(), rtol=1e-5, atol=1e-5)
    assert_close(torch.from_numpy(fv.score(model, Split(x))), model(x).log_px[0].double(), rtol=1e-4, atol=1e-4)
    assert result.bits_per_dim is None  # a density has no unit of its own


def test_a_conditional_density_is_a_likelihood_of_a_model_with_latents() -> None:
    """Different latents, different densities, each of them normalised."""
    spec = {"name": "flow", "flow": SPLINE, "context": 3, "decoder": {"name": "mlp", "width": 4}}
    p = generic(registry.build("likelihood", spec, (2,), (1,)))(
        torch.tensor([[-1.0, 0.0], [2.0, 1.0]], dtype=torch.float64)
    )
    x = torch.arange(-12, 12, 0.01, dtype=torch.float64)[:, None, None]
    mass = p.log_prob(x).exp() * 0.01
    assert_close(mass.sum(0), torch.ones(2).double(), rtol=0, atol=1e-4)
    assert (mass[:, 0] - mass[:, 1]).abs().max() > 1e-4


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("decoder", ["mlp", {"name": "mlp", "depth": 0}, {"name": "mlp", "norm": "batch"}, "resnet"])
def test_of_nothing_a_decoder_makes_the_same_for_every_datum(decoder: str | dict) -> None:
    """And learns it; torch has nothing to warn of."""
    likelihood = {"name": "bernoulli", "decoder": decoder}
    model = fv.build_model({"latents": "none", "likelihood": likelihood}, (1, 8, 8))
    x = torch.rand(3, 1, 8, 8).round()
    p = model.likelihood(torch.zeros(3, 0))
    assert_close(model(x).log_w[0], p.log_prob(x))
    assert_close(p.mean[1:], p.mean[:-1])
    before = model(x).log_w.mean()
    gradients = torch.autograd.grad(before, list(model.parameters()))
    with torch.no_grad():
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter += 1e-4 * gradient
    assert model(x).log_w.mean() > before


@pytest.mark.parametrize("changes", [{"context": 3}, {"decoder": "resnet"}, {"decoder": {"name": "mlp", "width": 9}}])
def test_without_latents_a_flow_has_nothing_to_decode(changes: dict) -> None:
    """What would do nothing is refused; what a run keeps of the defaults is taken back."""
    with pytest.raises(InputError, match=r"leave likelihood\.decoder and likelihood\.context out"):
        fv.build_model({"latents": "none", "likelihood": {"name": "flow", "flow": SPLINE, **changes}}, (2,))
    model = density()
    assert fv.build_model(model.spec, (2,)).spec == model.spec


def test_an_encoder_goes_with_latents_and_with_nothing_else() -> None:
    assert Config.resolve({"data": "moons", "latents": "none"}).encoder == {"name": "none"}
    with pytest.raises(InputError, match=r"expected no encoder for latents\.name = 'none'; got 'mlp': leave it out"):
        Config.resolve({"data": "moons", "latents": "none", "encoder": "mlp"})
    with pytest.raises(InputError, match=r"expected an encoder for latents\.name = 'flat'; got 'none'"):
        fv.build_model({"encoder": "none"}, (2,))


def test_there_is_nothing_to_encode_or_to_reconstruct() -> None:
    for verb in (encode, reconstruct):
        with pytest.raises(InputError, match="got a model without: choose a model with latents"):
            verb(density(), Split(torch.randn(5, 2)))
