"""Evaluation does what its definition says, whatever the chunks, and leaves everything as it was."""

import json
import math
from dataclasses import replace
from inspect import signature
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Independent, Laplace

from flowvae.data import Split, load_data
from flowvae.distributions import FlowDistribution
from flowvae.errors import InputError
from flowvae.evaluation import Evaluation, encode, evaluate, memory, reconstruct, score
from flowvae.evaluation.noise import DatumNoise
from flowvae.evaluation.passing import GRAPHS
from flowvae.latents import FromPosterior
from flowvae.model import build_model
from flowvae.transforms import Autoregressive, PlanarTransform

from .conftest import POSTERIORS


class Nowhere:
    """A density that is 0 at all points, given a condition c."""

    def __init__(self, c):
        self.c = c

    def log_prob(self, x):
        return self.c.sum(-1) - math.inf


posteriors = pytest.mark.parametrize("posterior", POSTERIORS)


def arrays(result: Evaluation) -> dict[str, np.ndarray]:
    """Everything that is a number, to compare."""
    found = {name: np.asarray(value, dtype=float) for name, value in result.to_dict().items() if name != "binarise"}
    return {name: a for name, a in found.items() if not np.isnan(a).any()} | vars(result.per_datum)


def assert_same(one: Evaluation, other: Evaluation, tolerance: float) -> None:
    for name, value in arrays(one).items():
        np.testing.assert_allclose(arrays(other)[name], value, rtol=tolerance, atol=tolerance, err_msg=name)


@posteriors
def test_agrees_with_a_loop_over_data_and_draws(build, split, posterior):
    """Each log-weight from a pass of its own, the formulas in Python's numbers."""
    model, samples, seed = build(posterior, torch.float64), 12, 5
    result = evaluate(model, split, samples=samples, seed=seed)
    noise = DatumNoise(seed, samples, "cpu")
    x = split.frozen(seed).batch(torch.arange(len(split))).double()
    model.eval()
    for i in range(len(split)):
        log_w = []
        for k in range(samples):
            draw = FromPosterior(lambda n, shape, i=i, k=k: noise(n, range(i, i + 1), range(k, k + 1), shape[2:]))
            trace = model(x[i : i + 1], draw=draw)
            (latent,) = trace.latents
            log_w.append((trace.log_px + latent.log_p - latent.log_q).item())
        w = [math.exp(value) for value in log_w]
        assert result.per_datum.log_px_hat[i] == pytest.approx(math.log(math.fsum(w) / samples), rel=1e-12)
        assert result.per_datum.elbo[i] == pytest.approx(math.fsum(log_w) / samples, rel=1e-12)
        assert result.per_datum.ess[i] == pytest.approx(math.fsum(w) ** 2 / math.fsum(v * v for v in w), rel=1e-10)


def test_log_weights_of_the_diagonal_posterior_by_torch_distributions(build, split):
    model = build("diagonal", torch.float64)
    seed, samples = 2, 40
    x = split.frozen(seed).batch(torch.arange(len(split))).double()
    eps = DatumNoise(seed, samples, "cpu")(0, range(len(split)), range(samples), (3,)).double()
    with torch.no_grad():
        mu, s = model.latents.posterior.net(model.encoder(x)).chunk(2, -1)
        q = torch.distributions.Normal(mu, nn.functional.softplus(s + math.log(math.e - 1)))
        z = q.mean + q.stddev * eps
        p = torch.distributions.Bernoulli(logits=model.likelihood.decoder(z))
        log_w = p.log_prob(x).sum(-1) + torch.distributions.Normal(0, 1).log_prob(z).sum(-1) - q.log_prob(z).sum(-1)
    result = evaluate(model, split, samples=samples, seed=seed)
    np.testing.assert_allclose(result.per_datum.log_px_hat, log_w.logsumexp(0) - math.log(samples), rtol=1e-10)
    np.testing.assert_allclose(result.per_datum.elbo, log_w.mean(0), rtol=1e-10)


@posteriors
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 1e-5)])
def test_chunks_do_not_change_the_result(build, split, monkeypatch, posterior, dtype, tolerance):
    model = build(posterior, dtype)
    whole = evaluate(model, split, samples=300, memory="1GiB")
    for budget in ("100KiB", "1MiB"):
        assert_same(whole, evaluate(model, split, samples=300, memory=budget), tolerance)
    for pairs in (29, 299, 10**6):
        monkeypatch.setattr(memory, "CPU_PAIRS", pairs)
        assert_same(whole, evaluate(model, split, samples=300), tolerance)
    monkeypatch.setattr(memory, "BLOCK_DATA", 1)
    assert_same(whole, evaluate(model, split, samples=300), tolerance)


def test_a_datum_has_the_same_figures_whatever_stands_behind_it(build, split):
    model, data = build("iaf", torch.float64), split.frozen(0)
    np.testing.assert_allclose(score(model, data, 50)[:5], score(model, data.take(5), 50), rtol=1e-12)


def test_the_seed_decides(build, split):
    model, data = build("iaf"), split.frozen(0)
    one = score(model, data, samples=20, seed=1)
    torch.manual_seed(77)
    assert (score(model, data, samples=20, seed=1) == one).all()
    assert (score(model, data, samples=20, seed=2) != one).all()


def test_score_takes_what_evaluate_takes():
    assert signature(score).parameters == signature(evaluate).parameters


def test_bits_are_drawn_by_the_seed(build, split):
    model = build()
    result = evaluate(model, split, samples=20, seed=4)
    assert_same(result, evaluate(model, split.frozen(4), samples=20, seed=4), 0)
    assert (result.per_datum.elbo != evaluate(model, split.frozen(5), samples=20, seed=4).per_datum.elbo).any()
    assert (result.binarise, result.seed, result.samples, result.count) == ("dynamic", 4, 20, 23)


def test_more_samples_tighten_the_bound_and_leave_the_elbo(build):
    model = build()
    data = Split((torch.rand(2000, 6) < 0.5).float())
    results = [evaluate(model, data, samples=k, seed=k) for k in (1, 2, 10, 100)]
    assert results[0].log_likelihood == results[0].elbo
    for less, more in pairwise(results):
        assert less.log_likelihood + 0.02 < more.log_likelihood
        assert less.elbo == pytest.approx(more.elbo, abs=4 * less.elbo_standard_error)


@posteriors
def test_effective_sample_size_is_between_1_and_k(build, split, posterior):
    ess = evaluate(build(posterior), split, samples=50).per_datum.ess
    assert (ess >= 1 - 1e-12).all()
    assert (ess <= 50 + 1e-9).all()
    assert len(np.unique(ess)) == len(ess)
    assert (evaluate(build(posterior), split, samples=1).per_datum.ess == 1).all()


def test_the_encoder_runs_once_a_datum(build, split, monkeypatch):
    model, seen = build("iaf"), []
    model.encoder.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    monkeypatch.setattr(memory, "BLOCK_DATA", 4)
    evaluate(model, split, samples=700, seed=3, memory="1MiB")
    assert torch.equal(torch.cat(seen), split.frozen(3).batch(torch.arange(len(split))))


@pytest.mark.parametrize("posterior", ["iaf", "planar"])
def test_no_flow_is_ever_inverted(build, split, monkeypatch, posterior):
    def inverted(*args):
        raise AssertionError("a flow was inverted")

    for transform in (Autoregressive, PlanarTransform):
        monkeypatch.setattr(transform, "_inverse", inverted)
    monkeypatch.setattr(FlowDistribution, "log_prob", inverted)
    evaluate(build(posterior), split, samples=5)


def test_model_generators_and_checks_are_left_as_they_were(build, split):
    model = build().train()
    model.likelihood.eval()
    modes = {name: module.training for name, module in model.named_modules()}
    state = torch.get_rng_state()
    evaluate(model, split, samples=5)
    assert {name: module.training for name, module in model.named_modules()} == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.distributions.Distribution._validate_args
    assert torch.is_grad_enabled()
    assert all(weight.grad is None for weight in model.parameters())


def test_dropout_is_off(build, split):
    model = build()
    model.encoder.net.append(nn.Dropout(0.5))
    assert_same(evaluate(build(), split, samples=5), evaluate(model.train(), split, samples=5), 0)


def test_the_figures_belong_together(build, split):
    result = evaluate(build("iaf"), split, samples=30)
    per_datum = result.per_datum
    assert result.elbo == pytest.approx(-(result.distortion + result.rate), rel=1e-12)
    assert result.rate == pytest.approx(sum(result.kl), rel=1e-12)
    assert result.gap == result.log_likelihood - result.elbo > 0
    assert (per_datum.log_px_hat > per_datum.elbo).all()
    for mean, error, values in (
        (result.elbo, result.elbo_standard_error, per_datum.elbo),
        (result.log_likelihood, result.standard_error, per_datum.log_px_hat),
    ):
        assert (mean, error) == pytest.approx((np.mean(values), np.std(values, ddof=1) / len(values) ** 0.5))
    assert result.ess == pytest.approx(per_datum.ess.mean())
    assert (score(build("iaf"), split, 30) == per_datum.log_px_hat).all()


def test_a_posterior_that_draws_not_from_noise_is_drawn_from_as_often_as_is_asked(build, split):
    """Importance sampling by Laplace draws estimates the same log p(x) as by those of the prior."""
    model, data = build("diagonal", torch.float64), split.frozen(0)
    with torch.no_grad():
        for weight in model.latents.posterior.parameters():
            weight.zero_()
    gaussian = evaluate(model, data, samples=4000)
    family = model.latents.posterior.family
    model.latents.posterior.family = lambda phi: Independent(Laplace(family(phi).loc, family(phi).stddev), 1)
    laplace = evaluate(model, data, samples=4000)
    assert laplace.samples == 4000
    assert laplace.ess > 100
    np.testing.assert_allclose(laplace.per_datum.log_px_hat, gaussian.per_datum.log_px_hat, atol=0.2)
    assert laplace.log_likelihood == pytest.approx(gaussian.log_likelihood, abs=0.02)


def test_one_datum_has_no_standard_error(build, split):
    result = evaluate(build(), split.take(1), samples=10)
    assert result.standard_error is None
    assert result.elbo_standard_error is None
    assert "nan" not in str(result)


def test_bits_per_dimension_are_for_probabilities(build, split, monkeypatch):
    model, grey = build(), replace(split, binarise="none")
    bits = replace(grey, values=255 * grey.values.gt(99).byte())

    def found(data):
        result = evaluate(model, data, samples=5)
        return result.bits_per_dim, pytest.approx(-result.log_likelihood / 6 / math.log(2))

    for data in (split, replace(split, binarise="threshold"), bits):
        bits_per_dim, expected = found(data)
        assert bits_per_dim == expected
    for data in (grey, replace(bits, cells=2)):
        assert found(data)[0] is None
    monkeypatch.setattr(type(model.likelihood), "accepts", ("levels",))
    bits_per_dim, expected = found(grey)
    assert bits_per_dim == expected


def test_the_record_is_plain_and_comes_back(build, split):
    result = evaluate(build("full"), split, samples=5)
    record = json.loads(json.dumps(result.to_dict()))
    again = Evaluation.from_dict({"split": "test", **record})
    assert again.to_dict() == result.to_dict()
    assert str(again) == str(result)
    assert "per_datum" not in record


def test_progress_counts_pairs(build, split):
    seen = []
    evaluate(build(), split, samples=700, progress=lambda done, total: seen.append((done, total)))
    done = [pairs for pairs, _ in seen]
    assert len(done) > 5
    assert done == sorted(set(done))
    assert seen[-1] == (23 * 700, 23 * 700)


class TestRefusals:
    @pytest.mark.parametrize("samples", [0, 2.5, "3"])
    def test_samples(self, build, split, samples):
        model = build()
        for door in (evaluate, reconstruct, encode, lambda *given, samples: model(given[1].values, samples=samples)):
            with pytest.raises(InputError, match=f"expected at least 1 sample a datum; got {samples!r}: give"):
                door(model, split, samples=samples)

    def test_what_is_no_split(self, build, split):
        data = load_data("digits")
        for door in (evaluate, score, reconstruct, encode):
            with pytest.raises(InputError, match=r"expected a split of data; got Data: .* data\.test"):
                door(build_model({"latents": {"dim": 2}}, data), data)
        with pytest.raises(InputError, match=r"expected a split of data; got Tensor: .* Split\(values\)"):
            evaluate(build(), split.values)

    @pytest.mark.parametrize(("data", "remedy"), [("digits", r"load_data\('digits'\)"), ([1, 8, 8], r"a tuple")])
    def test_what_is_no_shape(self, data, remedy):
        with pytest.raises(InputError, match=f"expected a data set, or the shape of one datum; got .*: give {remedy}"):
            build_model({}, data)

    def test_shape(self, build):
        with pytest.raises(InputError, match=r"expected data of shape \(6,\), as the model was built for; got \(7,\)"):
            evaluate(build(), Split(torch.zeros(3, 7)))

    def test_memory(self, build, split):
        with pytest.raises(InputError, match=r"expected memory of at least .* for this model; got 1KiB"):
            evaluate(build(), split, memory="1KiB")

    def test_a_weight_that_is_not_finite_is_named(self, build, split):
        model = build()
        with torch.no_grad():
            model.likelihood.decoder.net[0].weight[2, 1] = math.nan
        with pytest.raises(InputError, match=r"expected finite weights; got nan in likelihood\.decoder\.net\.0\.w"):
            evaluate(model, split, samples=5)

    def test_a_datum_that_is_not_finite_is_named(self, build):
        values = torch.rand(200, 6)
        values[150, 3] = math.inf
        with pytest.raises(InputError, match="expected finite data; got inf in datum 150"):
            evaluate(build(), Split(values), samples=5)

    def test_a_term_that_overflows_is_named_with_its_datum(self, build):
        model = build()
        values = torch.zeros(200, 6)
        values[150:] = 1e30
        with torch.no_grad():
            model.encoder.net[0].weight.fill_(1)
            model.encoder.net[2].weight.fill_(1e9)
            model.latents.posterior.net.weight.fill_(1)
        with pytest.raises(InputError, match=r"in log q\(z\|x\) - log p\(z\) for datum 150: check the datum"):
            evaluate(model, Split(values), samples=5)

    def test_log_px(self, build, split, monkeypatch):
        model = build()
        monkeypatch.setattr(type(model.likelihood), "forward", lambda likelihood, c: Nowhere(c))
        with pytest.raises(InputError, match=r"got -inf in log p\(x\|z\) for datum 0: check the datum"):
            evaluate(model, split, samples=5)


def test_an_open_graph_is_averaged_outside_the_logarithm(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    """E_c[ log mean_k w_k(c) ] over the drawn graphs, each with draws of its own, by a naive loop."""
    torch.manual_seed(0)
    latents = {"name": "graph", "nodes": 3, "dim": 2, "posterior": {"width": 8}}
    model = build_model({"encoder": {"width": 8}, "latents": latents, "likelihood": {"decoder": {"width": 8}}}, (6,))
    for prior in model.latents.priors[1:]:
        prior.net[0].weight.data.mul_(20)
    few = split.take(5)
    result = evaluate(model, few, samples=7, seed=3)
    x, rows, seen = few.frozen(3).batch(torch.arange(5)), range(5), set()
    log_px, elbo = [], []
    generator = torch.Generator().manual_seed(3)  # one for all graphs: neighbouring seeds share none
    for graph in range(GRAPHS):
        draws = range(graph * 7, (graph + 1) * 7)
        noise = DatumNoise(3, GRAPHS * 7, "cpu")
        with torch.no_grad(), model.latents.settled(generator):
            seen.add(tuple(model.latents.gates(torch.Size(())).tolist()))
            drawn = FromPosterior(lambda n, shape, draws=draws, noise=noise: noise(n, rows, draws, tuple(shape[2:])))
            log_w = model.eval()(x, 7, drawn).log_w.double()
        log_px.append(torch.logsumexp(log_w, 0) - math.log(7))
        elbo.append(log_w.mean(0))
    assert len(seen) > 3
    assert result.graphs == GRAPHS
    assert str(result).splitlines()[0].endswith(", mean over 10 graphs drawn by open gates")
    np.testing.assert_allclose(result.per_datum.log_px_hat, torch.stack(log_px).mean(0), rtol=1e-6)
    np.testing.assert_allclose(result.per_datum.elbo, torch.stack(elbo).mean(0), rtol=1e-6)
    monkeypatch.setattr(memory, "CPU_PAIRS", 7)
    monkeypatch.setattr(memory, "BLOCK_DATA", 1)
    in_blocks = evaluate(model, few, samples=7, seed=3)
    np.testing.assert_allclose(in_blocks.per_datum.log_px_hat, result.per_datum.log_px_hat, rtol=1e-6)
    model.latents.gates.freeze()
    frozen = evaluate(model, few, samples=7, seed=3)
    assert frozen.graphs == 1
    assert "graphs" not in str(frozen)
