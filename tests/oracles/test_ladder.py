"""The ladder: against the flat model, against its own samples, and what depends on what."""

from typing import Any

import pytest
import torch
from scipy.stats import kstest
from torch import Tensor
from torch.testing import assert_close

from flowvae import VAE, InputError, build_model, registry
from flowvae.distributions import DiagonalNormal
from flowvae.distributions.diagonal import kl_per_dimension
from flowvae.engine.step import Step
from flowvae.latents import FromPosterior, FromPrior, Given, Mixed
from flowvae.latents.ladder import _repeated
from flowvae.nn.normed import Normed
from tests.laws.catalogue import generic
from tests.laws.test_likelihoods import every

MAPS = ((3, 4, 2), (3, 4, 2), (2, 2, 1))
SIZE = 3 * 8 * 2 + 2 * 2
FLOWS: dict[str, Any] = {
    "none": None,
    "conv-iaf": {"name": "iaf", "steps": 2, "width": 12},
    "affine-iaf": {"name": "iaf", "steps": 2, "width": 12, "update": "affine"},
    "planar": {"name": "planar", "steps": 2},
}
KINDS = [(inference, flow) for inference in ("additive", "weighted") for flow in ("none", "conv-iaf", "planar")]
kinds = pytest.mark.parametrize(("inference", "flow"), KINDS)


def ladder(inference: str = "additive", flow: str = "none", maps: Any = MAPS, **options: Any) -> Any:
    spec = {"name": "ladder", "dim": 2, "width": 5, "context": 3, "inference": inference, "flow": FLOWS[flow]}
    return generic(registry.build("latents", spec | options, maps))


@kinds
def test_scoring_what_was_inferred_gives_its_weights_again(inference: str, flow: str) -> None:
    """Given(z) inverts the flow of every rung: log-weights agree to 1e-10."""
    latents, h, batch = ladder(inference, flow), torch.randn(4, SIZE, dtype=torch.float64), torch.Size((3, 4))
    c, drawn = latents.walk(FromPosterior(), h, batch)
    again, scored = latents.walk(Given([latent.z for latent in drawn]), h, batch)
    assert_close(again, c, rtol=0, atol=0)
    total = [sum((latent.kl for latent in found), torch.zeros(batch)) for found in (drawn, scored)]
    assert_close(total[1], total[0], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("flow", ["none", "planar"])
def test_one_rung_of_one_pixel_is_the_flat_model(flow: str) -> None:
    """With prior and features shut off from the stream, every term is that of a flat model with the same weights."""
    latents = ladder(flow=flow, maps=5)
    rung = latents.rungs[0]
    with torch.no_grad():
        for parameter in rung.down.parameters():
            parameter.zero_()
    spec = {"name": "flat", "dim": 2, "posterior": {"name": "gaussian", "context": 3, "flow": FLOWS[flow]}}
    flat = generic(registry.build("latents", spec, 5))
    with torch.no_grad():
        if flow == "none":
            _copy(rung.posterior.net[0], flat.posterior.net)
        else:
            _copy(rung.posterior.base.net[0], flat.posterior.base.net)
            _copy(rung.posterior.context[0], flat.posterior.context)
            flat.posterior.flow.load_state_dict(rung.posterior.flow.state_dict())
    h, draw = torch.randn(4, 5, dtype=torch.float64), FromPosterior(lambda n, shape: 0.3 * torch.ones(shape).double())
    (left,), (right,) = (model.walk(draw, h, torch.Size((3, 4)))[1] for model in (latents, flat))
    assert_close((left.z, left.log_q, left.log_p), (right.z, right.log_q, right.log_p), rtol=1e-10, atol=1e-10)


def _copy(conv: Normed, linear: torch.nn.Linear) -> None:
    """Give a linear layer the centre tap of a convolution: all that maps of one pixel see."""
    linear.weight.copy_(conv.weight[:, :, 1, 1])
    linear.bias.copy_(conv.bias)


def test_weighted_inference_multiplies_what_is_below_with_the_prior() -> None:
    latents, h = ladder("weighted"), torch.randn(4, SIZE, dtype=torch.float64)
    _, found = latents.walk(FromPosterior(), h, torch.Size((3, 4)))
    for rung, maps, latent in zip(latents.rungs, reversed(latents._unpacked(h)), found, strict=True):
        below, p, q = rung.posterior.base(maps, None), latent.p, latent.q
        assert isinstance(p, DiagonalNormal)
        precision = 1 / below.variance + 1 / p.variance
        assert_close(1 / q.variance, precision, rtol=1e-9, atol=1e-9)
        assert_close(q.mean, (below.mean / below.variance + p.mean / p.variance) / precision, rtol=1e-9, atol=1e-9)


def test_additive_inference_adds_what_is_above_and_below_before_a_linear_map() -> None:
    """Bottom-up features shift the mean of q by the same, whatever the stream: the two add up."""
    latents = ladder(maps=((3, 4, 2),))
    h = torch.randn(2, 4, 24, dtype=torch.float64)
    (first,), (second,) = (latents.walk(FromPosterior(), features, torch.Size((1, 4)))[1] for features in h)
    with torch.no_grad():
        latents.start.add_(1.0)
    (third,), (fourth,) = (latents.walk(FromPosterior(), features, torch.Size((1, 4)))[1] for features in h)
    assert not torch.allclose(first.q.mean, third.q.mean)
    assert_close(second.q.mean - first.q.mean, fourth.q.mean - third.q.mean, rtol=1e-9, atol=1e-9)


def test_a_rung_adds_a_tenth_of_what_latents_and_features_say_to_the_stream() -> None:
    """s' = s + 0.1 conv(elu([z, d])), d the last part of what is read from s."""
    rung = ladder().rungs[0]
    stream = torch.randn(2, 5, *rung.event[1:], dtype=torch.float64)
    found, latent = rung(FromPrior(), 0, stream, None)
    d = rung.down(torch.nn.functional.elu(stream))[:, -5:]
    said = rung.merge(torch.nn.functional.elu(torch.cat([latent.z.reshape(2, *rung.event), d], 1)))
    assert_close(found, stream + 0.1 * said, rtol=1e-12, atol=1e-12)


def test_without_observation_the_batch_is_that_of_the_stream() -> None:
    """Maps are no part of it."""
    spec = {"latents": {"name": "ladder", "width": 6, "dim": 2}, "likelihood": "none"}
    model = build_model(spec, (1,))
    trace = model(torch.zeros(5, 1), samples=3)
    assert trace.log_px.shape == trace.log_w.shape == (3, 5)
    assert model.sample(4).shape == (4, 1)


def test_the_stream_grows_by_repetition() -> None:
    maps = torch.arange(12.0).reshape(1, 3, 2, 2)
    assert torch.equal(_repeated(maps, (4, 4)), maps.repeat_interleave(2, -1).repeat_interleave(2, -2))


def test_a_prior_sees_the_rungs_above_alone() -> None:
    latents = ladder()
    zs = [latent.z for latent in latents.walk(FromPrior(), None, torch.Size((1, 1)))[1]]
    h = torch.randn(1, SIZE, dtype=torch.float64)
    means = [latent.p.mean for latent in latents.walk(Given(zs), h, torch.Size((1, 1)))[1]]
    for moved in range(len(zs)):
        others = [z + 1.0 * (n == moved) for n, z in enumerate(zs)]
        found = latents.walk(Given(others), h, torch.Size((1, 1)))[1]
        changed = [not torch.equal(latent.p.mean, mean) for latent, mean in zip(found, means, strict=True)]
        assert changed == [n > moved for n in range(len(zs))]


def test_the_top_rungs_are_inferred_and_the_rest_generated() -> None:
    latents, h, batch = ladder(), torch.randn(4, SIZE, dtype=torch.float64), torch.Size((3, 4))

    def noise(n: int, shape: torch.Size) -> Tensor:
        return torch.randn(shape, generator=torch.Generator().manual_seed(n)).double()

    inferred = latents.walk(FromPosterior(noise), h, batch)[1]
    for top in range(4):
        found = latents.walk(Mixed(top, noise=noise), h, batch)[1]
        for n, latent in enumerate(found):
            assert (latent.q is latent.p) == (n >= top)
            if n < top:
                assert_close(latent.z, inferred[n].z, rtol=0, atol=0)
    assert_close(found[-1].z, inferred[-1].z, rtol=0, atol=0)
    generated = latents.walk(FromPrior(noise=noise), None, batch)[1]
    mixed = latents.walk(Mixed(0, noise=noise), None, batch)[1]
    assert_close([latent.z for latent in mixed], [latent.z for latent in generated], rtol=0, atol=0)


@pytest.mark.parametrize("flow", ["none", "conv-iaf"])
def test_free_bits_are_granted_to_every_channel_of_every_rung(flow: str) -> None:
    """KL summed over the pixels, averaged over the batch, then at least the free nats."""
    latents, h = ladder(flow=flow), torch.randn(4, SIZE, dtype=torch.float64)
    model = VAE(torch.nn.Identity(), latents, _likelihood(latents.out_shape, (1, 2, 2)))
    trace = model.trace(torch.ones(4, 1, 2, 2).double(), h, 3, FromPosterior(terms=True))
    expected, charged = -trace.log_px.mean(), []
    for latent in trace.latents:
        assert_close(latent.terms.sum(-1), latent.log_q, rtol=1e-12, atol=1e-12)
        behind = latent.terms - latent.p.log_terms(latent.z)
        kl = kl_per_dimension(latent.q, latent.p) if flow == "none" else behind
        kl = kl.reshape(3, 4, *latent.event).sum((-2, -1)).mean((0, 1))
        charged += (kl > 0.7).tolist()
        expected = expected + kl.clamp(min=0.7).sum()
    assert {True, False} == set(charged)
    objective = registry.build("objective", {"name": "free_bits", "free": 0.7, "per": "channel"})
    assert_close(objective(trace), expected, rtol=1e-12, atol=0)


def _over_maps(part: str, checkpoint: bool) -> VAE:
    torch.manual_seed(0)
    tables: dict[str, Any] = {
        "encoder": {"name": "bottom_up", "width": 4, "depths": [1, 1]},
        "latents": {"name": "ladder", "dim": 2, "width": 5, "context": 2, "flow": FLOWS["affine-iaf"]},
        "likelihood": {"name": "bernoulli", "decoder": {"name": "upsample", "kernel": 3}},
    }
    tables[part]["checkpoint"] = checkpoint
    return build_model(tables, (1, 8, 8)).double()


@pytest.mark.parametrize("part", ["encoder", "latents"])
def test_checkpointing_keeps_less_and_changes_no_gradient(part: str) -> None:
    x = torch.rand(3, 1, 8, 8, dtype=torch.float64)
    kept: list[list[int]] = [[], []]
    gradients = []
    for checkpoint, sizes in zip((False, True), kept, strict=True):
        model = _over_maps(part, checkpoint)

        def keep(t: Tensor, sizes: list[int] = sizes) -> Tensor:
            sizes.append(t.nbytes)
            return t

        torch.manual_seed(1)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
            loss = model(x, 2).log_w.sum()
        loss.backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    assert_close(gradients[1], gradients[0], rtol=1e-10, atol=1e-10)
    assert sum(kept[1]) < sum(kept[0])


def test_a_step_over_maps_traces_without_a_break() -> None:
    """Masked convolutions, free bits by channel and checkpoints: loss and gradients are those of the plain step."""
    torch.distributions.Distribution.set_default_validate_args(False)
    torch.compiler.reset()
    model = _over_maps("latents", True).train()
    step = Step(model, registry.build("objective", {"name": "free_bits", "free": 0.01, "per": "channel"}))
    x, results = torch.rand(3, 1, 8, 8, dtype=torch.float64), []
    for run in (step, torch.compile(step, fullgraph=True, backend="aot_eager")):
        torch.manual_seed(3)
        model.zero_grad()
        loss, _ = run(x, torch.tensor(0.5))
        loss.backward()
        results.append([loss, *(parameter.grad.clone() for parameter in model.parameters())])
    assert_close(results[1], results[0], rtol=1e-9, atol=1e-9)


def _likelihood(in_shape: tuple[int, ...], event: tuple[int, ...]) -> Any:
    spec = {"name": "bernoulli", "decoder": {"name": "mlp", "width": 12, "depth": 1}}
    return generic(registry.build("likelihood", spec, in_shape, event))


def _small(flow: str) -> VAE:
    maps = ((2, 2, 2), (2, 1, 1))
    encoder = generic(registry.build("encoder", {"name": "mlp", "width": 10, "depth": 1}, (1, 2, 2)))
    latents = ladder(flow=flow, maps=maps)
    with torch.no_grad():
        for name, parameter in latents.named_parameters():
            parameter.mul_(0.1 if ".flow." in name else 0.5)  # a posterior near the prior weighs its draws evenly
    return VAE(encoder, latents, _likelihood(latents.out_shape, (1, 2, 2)))


@pytest.mark.parametrize("flow", ["none", "affine-iaf"])
@torch.no_grad()
def test_samples_are_as_frequent_as_their_probabilities_say(flow: str) -> None:
    """All 16 binary images of 2 x 2: log p(x) by importance sampling against the share of x among samples."""
    model, n = _small(flow), 20_000
    x = every((1, 2, 2), 2)
    weights = model(x, 2000).log_w.exp()
    p, error = weights.mean(0), weights.std(0) / 2000**0.5
    place = (model.sample(n).flatten(1) * torch.tensor([8, 4, 2, 1])).sum(1).long()
    share = torch.bincount(place, minlength=16) / n
    assert ((share - p).abs() < 4 * (p / n + error.square()).sqrt()).all()
    assert (error < 0.2 * p).all()


@pytest.mark.parametrize("flow", ["none", "affine-iaf"])
@torch.no_grad()
def test_the_posterior_is_calibrated_on_what_the_model_makes(flow: str) -> None:
    """Simulation-based calibration: z of the prior is no stranger among the weighted draws of q for its own x.

    Reference: Talts, Betancourt, Simpson, Vehtari, Gelman (2018), arXiv:1804.06788.
    """
    model, n = _small(flow), 300
    c, made = model.latents.walk(FromPrior(), None, torch.Size((n,)))
    trace = model(model.likelihood(c).sample(), 500)
    weights = trace.log_w.softmax(0)
    for true, drawn in zip(made, trace.latents, strict=True):
        below = (drawn.z.sum(-1) < true.z.sum(-1)).double()
        assert kstest((weights * below).sum(0).numpy(), "uniform").pvalue > 1e-3


def test_the_path_up_tells_its_maps() -> None:
    encoder = registry.build("encoder", {"name": "bottom_up", "width": 6, "depths": [3, 2]}, (3, 16, 8))
    assert encoder.maps == ((6, 8, 4),) * 3 + ((6, 4, 2),) * 2
    assert encoder(torch.randn(2, 5, 3, 16, 8)).shape == (2, 5, encoder.features)
    model = build_model({"encoder": {"name": "bottom_up", "width": 6}, "latents": "ladder"}, (3, 16, 8))
    assert [rung.event for rung in model.latents.rungs] == [(16, 4, 2)] * 2 + [(16, 8, 4)] * 2
    with pytest.raises(InputError, match=r"divisible by 8; got \(3, 16, 12\): resize them, shorten encoder.depths, or"):
        registry.build("encoder", {"name": "bottom_up", "depths": [1, 1, 1]}, (3, 16, 12))


def test_a_flat_model_takes_maps_as_features() -> None:
    model = build_model(
        {"encoder": {"name": "bottom_up", "width": 6}, "latents": {"name": "flat", "dim": 3}}, (1, 8, 8)
    )
    assert model(torch.rand(2, 1, 8, 8)).log_w.shape == (1, 2)
