"""The worked example of CONTRIBUTING.md is a flow, and a model trains through it."""

import re
from pathlib import Path

import pytest
import torch

from flowvae import InputError, registry
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
