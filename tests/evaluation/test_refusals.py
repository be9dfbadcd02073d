"""What cannot be asked of a model is told in one sentence."""

from collections.abc import Callable

import pytest
import torch

from flowvae import InputError, build_model, evaluate, fit, load_data
from flowvae.data import Split
from flowvae.engine.start import of_known_kernels
from flowvae.evaluation import ancestral, sample
from flowvae.evaluation.regression import known
from flowvae.evaluation.walk import interpolate
from flowvae.model import VAE

WITHOUT = {"latents": "none", "likelihood": {"name": "flow", "flow": "planar"}}
ONE = Split(torch.rand(1, 6), labels=torch.zeros(1))

CASES: list[tuple[Callable[[VAE], object], str]] = [
    (lambda model: sample(model, 0), "at least 1 sample; got 0: give a whole number"),
    (lambda model: sample(model, -1), "at least 1 sample; got -1"),
    (lambda model: model.sample(0), "at least 1 sample; got 0"),
    (lambda model: model.sample(2, temperature=float("nan")), "a temperature of at least 0; got nan"),
    (lambda model: model.sample(2, temperature=-1.0), "a temperature of at least 0; got -1.0"),
    (lambda model: ancestral(model, 0), "at least 1 column; got 0"),
    (lambda model: ancestral(build_model(WITHOUT, (6,))), "latents to draw; got a model without"),
    (lambda model: interpolate(model, ONE, 3, show=torch.Tensor), "two data to walk between; got 1"),
    (lambda model: known(model, ONE, 1, 0), "at least 2 points to fit or to judge a prediction by; got 1"),
    (lambda model: evaluate(model, ONE, seed=-1), "a seed of at least 0; got -1"),
    (lambda model: build_model({}, ()), r"sizes from 1 on; got the shape \(\)"),
    (lambda model: build_model({}, (3, 0)), r"sizes from 1 on; got the shape \(3, 0\)"),
    (lambda model: build_model({}, (-3,)), r"sizes from 1 on; got the shape \(-3,\)"),
    (lambda model: build_model("mlp", (3,)), "the tables of a model; got 'mlp'"),
    (lambda model: fit(model.double(), load_data("digits")), "a model in single precision; got another"),
    (
        lambda model: build_model({"latents": "none", "likelihood": {"decoder": "upsample"}}, (1, 8, 8)),
        "latents for decoder 'upsample'; got none",
    ),
]


@pytest.mark.parametrize(("ask", "refusal"), CASES)
def test_what_cannot_be_is_refused(ask, refusal) -> None:
    model = build_model({"encoder": {"width": 8}, "latents": {"dim": 2}}, (6,))
    model.event_shape = ()
    with pytest.raises(InputError, match=f"expected {refusal}"):
        ask(model)


def test_a_layer_that_a_processor_cannot_compute_in_half_precision_is_told() -> None:
    with pytest.raises(InputError, match="got an LSTM"), of_known_kernels():
        raise RuntimeError("could not create a primitive descriptor for the LSTM forward propagation primitive")
    with pytest.raises(RuntimeError, match="other"), of_known_kernels():
        raise RuntimeError("other")


def test_a_language_model_needs_no_latents() -> None:
    data = load_data("grammar")
    model = build_model({"latents": "none", "likelihood": {"name": "sequence", "decoder": {"width": 8}}}, data).eval()
    x = data.test.batch(torch.arange(5))
    log_px = model(x).log_px
    assert log_px.shape == (1, 5)
    assert (log_px < 0).all()
    assert model.sample(3).shape == (3, *data.event_shape)
    assert evaluate(model, data.test.take(5)).log_likelihood == pytest.approx(log_px.mean().item(), rel=1e-5)
