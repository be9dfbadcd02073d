"""One walk serves inference, generation and scoring."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from flowvae.distributions import Sampled
from flowvae.latents import FromPosterior, FromPrior, Given, Latent, Latents
from tests.laws.catalogue import FEATURES, Case, cases, generic, slack

structures = pytest.mark.parametrize(
    "case", [case for case in cases("latents") if case.spec["name"] != "none"], ids=str
)


def latents_and_features(case: Case) -> tuple[Latents, Tensor]:
    return generic(case.build()), torch.randn(4, FEATURES, dtype=torch.float64)


@structures
def test_shapes(case: Case) -> None:
    latents, h = latents_and_features(case)
    c, groups = latents.walk(FromPosterior(), h, torch.Size((3, 4)))
    assert c.shape == (3, 4, *latents.out_shape)
    for group in groups:
        assert group.z.shape[:2] == group.log_q.shape == group.log_p.shape == group.kl.shape == (3, 4)
        assert group.q.batch_shape == group.p.batch_shape == (3, 4)
        assert group.q.event_shape == group.p.event_shape == group.z.shape[2:]


@structures
def test_the_terms_are_those_of_their_distributions(case: Case) -> None:
    latents, h = latents_and_features(case)
    for group in latents.walk(FromPosterior(), h, torch.Size((3, 4)))[1]:
        assert_close(group.log_p, group.p.log_prob(group.z), rtol=1e-9, atol=1e-9 + slack(case))
        assert_close(group.log_q, group.q.log_prob(group.z), rtol=1e-6, atol=1e-6 + slack(case))


@structures
def test_samples_of_a_datum_are_independent(case: Case) -> None:
    latents, h = latents_and_features(case)
    for group in latents.walk(FromPosterior(), h, torch.Size((3, 4)))[1]:
        flat = group.z.reshape(12, -1)
        assert torch.pdist(flat).min() > 1e-3


@structures
def test_given_latents_are_scored_as_drawn(case: Case) -> None:
    """Walking again over what was drawn gives the same terms and the same decoder's input."""
    latents, h = latents_and_features(case)
    c, drawn = latents.walk(FromPosterior(), h, torch.Size((3, 4)))
    again, scored = latents.walk(Given([group.z for group in drawn]), h, torch.Size((3, 4)))
    assert_close(again, c, rtol=0, atol=0)
    for one, other in zip(drawn, scored, strict=True):
        assert_close((other.log_q, other.log_p), (one.log_q, one.log_p), rtol=1e-6, atol=1e-6 + slack(case))


@structures
def test_the_prior_that_is_scored_generates(case: Case) -> None:
    """Generation needs no datum, costs no KL, and draws from the p that inference scores."""
    latents, h = latents_and_features(case)
    c, generated = latents.walk(FromPrior(), None, torch.Size((3, 4)))
    assert c.shape == (3, 4, *latents.out_shape)
    _, scored = latents.walk(Given([group.z for group in generated]), h, torch.Size((3, 4)))
    for one, other in zip(generated, scored, strict=True):
        assert (one.kl == 0).all()
        assert_close(one.log_p, other.log_p, rtol=1e-9, atol=1e-9 + slack(case))


@structures
def test_temperature_scales_the_noise(case: Case) -> None:
    """No temperature leaves the mode, twice the same; a draw at temperature 2 is twice as far from it.

    A prior that makes choices makes them at any temperature, and is tested by itself.
    """
    latents, _ = latents_and_features(case)

    def draw(temperature: float) -> Latent:
        torch.manual_seed(1)
        return latents.walk(FromPrior(temperature), None, torch.Size((5,)))[1][0]

    mode = draw(0.0)
    assert mode.z.dtype == torch.float64
    if not isinstance(mode.p, Sampled):
        assert_close(mode.z, mode.z[:1].expand_as(mode.z), rtol=1e-12, atol=1e-12)
    if case.spec.get("prior", {}).get("name") == "standard":
        assert_close(draw(2.0).z, 4 * draw(0.5).z, rtol=1e-12, atol=1e-12)


@structures
def test_generation_follows_the_model_to_its_device(case: Case) -> None:
    torch.distributions.Distribution.set_default_validate_args(False)
    latents = case.build().to("meta")
    for draw in (FromPrior(), FromPrior(0.5)):
        assert latents.walk(draw, None, torch.Size((5,)))[0].device.type == "meta"


@structures
def test_noise_is_asked_for_once_a_group_in_order(case: Case) -> None:
    latents, h = latents_and_features(case)
    asked: list[tuple[int, torch.Size]] = []

    def noise(n: int, shape: torch.Size) -> Tensor:
        asked.append((n, shape))
        return torch.full(shape, 0.5 + n)

    _, groups = latents.walk(FromPosterior(noise), h, torch.Size((3, 4)))
    assert asked == [(n, group.z.shape) for n, group in enumerate(groups)]
    assert all(torch.equal(group.z[0], group.z[1]) for group in groups)
