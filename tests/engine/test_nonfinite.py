import json
from dataclasses import replace

import pytest
import torch

from flowvae.data import Split
from flowvae.engine import TrainingError, fit
from flowvae.engine.nonfinite import diagnose
from flowvae.engine.step import Step
from flowvae.engine.weights import load_weights
from flowvae.model import VAE, build_model
from flowvae.objectives import ELBO

NAN = float("nan")


@pytest.fixture
def grey(data):
    """Float data, in which a NaN can stand."""
    return replace(data, train=Split(data.train.values.float() / 16), validation=Split(data.validation.values / 16))


def poisoned(data, *rows):
    values = data.train.values.clone()
    values[list(rows), 0, 0, 0] = NAN
    return replace(data, train=replace(data.train, values=values))


def test_nan_in_the_data_is_named_by_index_and_dumped(grey, build, tmp_path):
    model = build()
    with pytest.raises(TrainingError, match=r"the data x is not finite for 1 data .*training indices 77.*lower"):
        fit(model, poisoned(grey, 77), epochs=1, run=tmp_path / "run", quiet=True)
    assert all(p.isfinite().all() for p in model.parameters())
    record = json.loads(next((tmp_path / "run").glob("nonfinite-step-*.json")).read_text())
    assert record["term"] == "the data x"
    assert record["indices"] == [77]
    dump = torch.load(next((tmp_path / "run").glob("nonfinite-step-*.pt")), weights_only=True)
    row = dump["indices"].tolist().index(77)
    assert dump["x"].isnan().flatten(1).any(1).nonzero().tolist() == [[row]]
    assert set(dump["rng"]) == {"cpu"}


def finding(model: VAE, data, objective=None):
    torch.distributions.Distribution.set_default_validate_args(False)
    indices = torch.arange(10, 20)
    return diagnose(Step(model, objective or ELBO()), data.train.batch(indices), torch.ones(()), indices)


PLANTED = {
    "encoder.": "log q(z|x)",
    "latents.": "log q(z|x)",
    "likelihood.": "log p(x|z)",
}


@pytest.mark.parametrize("part", sorted(PLANTED))
def test_nan_in_a_parameter_is_named_with_the_first_term_it_reaches(part, data, build):
    model = build()
    name, parameter = [(n, p) for n, p in model.named_parameters() if n.startswith(part)][-1]
    parameter.data[0] = NAN
    found = finding(model, data)
    assert found.term == PLANTED[part]
    assert found.indices == list(range(10, 20))
    assert found.parameters == [name]


def test_a_loss_that_breaks_beyond_its_terms_is_named(data, build):
    class Broken(ELBO):
        def forward(self, trace, beta=1.0):
            return super().forward(trace, beta) * NAN

    assert finding(build(), data, Broken()).term.startswith("the loss")


def test_a_gradient_that_breaks_behind_a_finite_loss_is_named_by_parameter(data, build):
    class Cusp(ELBO):
        def forward(self, trace, beta=1.0):
            zero = trace.log_px.sum() * 0
            return super().forward(trace, beta) + zero.sqrt()

    found = finding(build(), data, Cusp())
    assert found.term == f"the gradient of {found.parameters[0]}"
    assert found.parameters[0].startswith(("encoder.", "latents.", "likelihood."))


def test_infinite_prior_density_is_named(data, build):
    model = build()
    original = model.latents.walk

    def walk(draw, h, batch):
        z, latents = original(draw, h, batch)
        log_p = latents[0].log_p.clone()
        log_p[0, 3] = -torch.inf
        return z, (replace(latents[0], log_p=log_p),)

    model.latents.walk = walk
    found = finding(model, data)
    assert (found.term, found.indices, found.parameters) == ("log p(z)", [13], [])


def test_skipping_leaves_the_rest_of_the_epoch_to_train(grey, build):
    model = build()
    fitted = fit(model, poisoned(grey, 77), epochs=3, on_nonfinite="skip", log_every=1, quiet=True)
    skips = [record for record in fitted.history if record["kind"] == "event"]
    assert len(skips) == 3
    assert all("training indices 77" in record["message"] for record in skips)
    assert len([record for record in fitted.history if record["kind"] == "train"]) == fitted.steps - 3
    assert all(p.isfinite().all() for p in model.parameters())


def test_skipping_for_ever_is_given_up(grey, build):
    with pytest.raises(TrainingError, match=r"after 20 skipped steps in a row: lower optimiser.lr .* in a new run$"):
        fit(build(), poisoned(grey, *range(0, 1257, 2)), epochs=9, on_nonfinite="skip", quiet=True)


def test_a_stopped_run_can_go_on_skipping(grey, build, tmp_path):
    bad = poisoned(grey, 77)
    with pytest.raises(TrainingError):
        fit(build(), bad, epochs=3, run=tmp_path / "run", quiet=True)
    resumed = fit(build(), bad, epochs=3, run=tmp_path / "run", on_nonfinite="skip", resume=True, quiet=True)
    straight = fit(build(), bad, epochs=3, on_nonfinite="skip", quiet=True)
    for name, value in resumed.model.state_dict().items():
        assert value.equal(straight.model.state_dict()[name]), name


@pytest.mark.parametrize("how", ["stop", "skip", "steep"])
def test_a_step_that_is_left_out_leaves_no_statistics(how, data, tmp_path):
    """Its terms are finite, so that baseline and running means have moved by the time that the gradient is seen."""
    torch.manual_seed(1)
    latents = {"name": "graph", "nodes": 2, "dim": 2, "gates": "score"}
    model = build_model({"encoder": {"width": 16, "norm": "batch"}, "latents": latents}, data)
    seen = []

    def spoil(gradient):
        seen.append(statistics(model))
        return gradient * (1e9 if how == "steep" else NAN)

    def statistics(model):
        return {name: value.clone() for name, value in model.named_buffers() if name in model.state_dict()}

    bias = next(p for name, p in model.named_parameters() if name.startswith("likelihood.") and p.ndim == 1)
    before = statistics(model)
    bias.register_hook(spoil)
    options = {"skip": 1e6} if how == "steep" else {"on_nonfinite": how}
    with pytest.raises(TrainingError):
        fit(model, data, epochs=4, run=tmp_path / "run", quiet=True, **options)  # 20 steps in a row at most
    after = load_weights(tmp_path / "run" / "last.safetensors")
    assert any(not value.equal(before[name]) for name, value in seen[0].items())
    assert all(after[name].equal(value) for name, value in before.items())
