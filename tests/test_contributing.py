"""The worked example of CONTRIBUTING.md is a flow, and a model trains through it."""

import math
import re
from pathlib import Path

import pytest
import torch
from torch.distributions import Independent, Laplace

from flowvae import InputError, load_data, registry
from flowvae.model import build_model
from flowvae.registry import components

ROOT = Path(__file__).parents[1]


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """The example as a user's file, loaded; forgotten after the test."""
    registry.names("flow")
    monkeypatch.setitem(components._components, "flow", dict(components._components["flow"]))
    (source,) = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.DOTALL)
    path = tmp_path / "elementwise.py"
    path.write_text(source, encoding="utf-8")
    registry.load_plugin(path)


@pytest.mark.parametrize("batch", [(), (5,), (2, 5)])
@pytest.mark.parametrize("context", [0, 3])
def test_log_det_is_autograds_and_the_inverse_inverts(plugin, batch, context):
    flow = registry.build("flow", {"name": "elementwise", "bound": 2.0}, (4,), context).double()
    torch.nn.init.normal_(flow.shared, std=0.5)
    h = torch.randn(*batch, context, dtype=torch.float64) if context else None
    transform, x = flow(h), torch.randn(*batch, 4, dtype=torch.float64)
    y, ladj = transform.call_and_ladj(x)
    assert ladj.shape == torch.Size(batch)
    torch.testing.assert_close(transform.inv(y), x)
    for i in range(x[..., 0].numel()):
        one = flow(None if h is None else h.reshape(-1, context)[i])
        jacobian = torch.autograd.functional.jacobian(lambda point, one=one: one(point), x.reshape(-1, 4)[i])
        torch.testing.assert_close(torch.linalg.slogdet(jacobian)[1], ladj.reshape(-1)[i])


def test_a_model_trains_through_it(plugin):
    latents = {"dim": 2, "posterior": {"flow": {"name": "elementwise"}, "context": 3}}
    model = build_model({"latents": latents}, (1, 4, 4))
    model(torch.rand(7, 1, 4, 4)).log_w.mean().backward()
    untouched = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not untouched


def test_its_options_are_validated(plugin):
    with pytest.raises(InputError, match=r"flow\.bound: expected greater than 0; got -1"):
        registry.resolve("flow", {"name": "elementwise", "bound": -1})


@pytest.fixture
def forgotten(monkeypatch):
    """What a test registers is forgotten after it."""
    for kind in ("decoder", "family"):
        registry.names(kind)
        monkeypatch.setitem(components._components, kind, dict(components._components[kind]))


@pytest.mark.parametrize("name", ["bernoulli", "continuous_bernoulli", "gaussian", "discretised_logistic"])
def test_a_decoder_is_what_the_table_says_and_no_more(forgotten, name):
    @registry.register("decoder", "plain")
    class Plain(torch.nn.Linear):
        def __init__(self, in_shape, out_shape):
            super().__init__(math.prod(in_shape), math.prod(out_shape))
            self.out_shape = out_shape

        def forward(self, z):
            return super().forward(z).unflatten(-1, self.out_shape)

    data = load_data("digits")
    model = build_model({"latents": {"dim": 2}, "likelihood": {"name": name, "decoder": "plain"}}, data)
    assert model(data.train.batch(torch.arange(3))).log_w.isfinite().all()


@pytest.fixture
def laplace(forgotten):
    """A family whose distributions draw for themselves."""

    @registry.register("family", "laplace")
    class Family:
        def __init__(self, event_shape):
            self.size = 2 * math.prod(event_shape)

        def __call__(self, phi):
            loc, log_scale = phi.chunk(2, -1)
            return Independent(Laplace(loc, log_scale.exp()), 1)


def test_a_family_may_draw_for_itself(laplace):
    model = build_model({"latents": {"dim": 2, "posterior": {"family": "laplace"}}}, (6,))
    model(torch.rand(7, 6), samples=3).log_w.mean().backward()
    assert model.latents.posterior.net.weight.grad.any()


@pytest.mark.parametrize(("latents", "refusal"), [
    ({"posterior": {"family": "laplace", "flow": "iaf"}}, "a base that draws from noise under a flow; got Independent"),
    ({"posterior": {"family": "laplace"}, "prior": "vamp"}, "a posterior that draws from noise for prior 'vamp'; got"),
])  # fmt: skip
def test_what_takes_the_noise_of_a_draw_refuses_such_a_family(laplace, latents, refusal):
    with pytest.raises(InputError, match=f"expected {refusal}"):
        build_model({"latents": {"dim": 2} | latents}, (6,))(torch.rand(7, 6))
