"""Every structure with every prior, posterior, family and flow, as a whole model."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from functorch.compile import make_boxed_func
from torch import Tensor
from torch._dynamo.backends.common import aot_autograd
from torch.testing import assert_close

from flowvae import VAE, build_model, registry
from flowvae.engine.step import Step
from flowvae.latents import FromPosterior
from tests.laws.catalogue import VARIETIES, generic, models, part, specs, variety
from tests.laws.meta import OnMeta

EVENT = (4,)
MODELS = models()
every_model = pytest.mark.parametrize("tables", MODELS, ids=lambda tables: _label(tables["latents"]))


def _label(table: dict[str, Any]) -> str:
    return "-".join(_label(v) if isinstance(v, dict) else str(v) for k, v in table.items() if isinstance(v, dict | str))


def model_and_data(tables: dict[str, Any]) -> tuple[VAE, Tensor]:
    return generic(build_model(tables, EVENT)), torch.randint(0, 2, (5, *EVENT)).double()


@every_model
def test_shapes(tables: dict[str, Any]) -> None:
    model, x = model_and_data(tables)
    trace = model(x, samples=3)
    assert trace.log_px.shape == trace.log_w.shape == (3, 5)
    assert model.event_shape == model.sample(7).shape[1:] == EVENT
    assert model.generate(7).batch_shape == (7,)
    assert model.reconstruct(x, samples=2).shape == x.shape
    assert [z.shape for z in model.encode(x, 3)] == [group.z.shape for group in trace.latents]


@every_model
def test_the_weight_is_the_sum_of_its_terms(tables: dict[str, Any]) -> None:
    model, x = model_and_data(tables)
    trace = model(x, samples=3)
    expected = trace.log_px
    for group in trace.latents:
        expected = expected + group.log_p - group.log_q
    assert_close(trace.log_w, expected, rtol=1e-12, atol=1e-12)


@every_model
def test_a_datum_counts_alone(tables: dict[str, Any]) -> None:
    """log w of a datum under given noise does not depend on who shares the batch, nor on encoding beforehand."""
    model, x = model_and_data(tables)

    def noise(n: int, shape: torch.Size) -> Tensor:
        return torch.randn(3, 5, *shape[2:], generator=torch.Generator().manual_seed(n)).double()

    together = model(x, 3, FromPosterior(noise)).log_w
    second = FromPosterior(lambda n, shape: noise(n, shape)[:, 1:2])
    alone = model.trace(x[1:2], model.encoder(x)[1:2], 3, second).log_w
    assert_close(alone, together[:, 1:2], rtol=1e-10, atol=1e-10)


@every_model
def test_the_specification_rebuilds_the_model(tables: dict[str, Any]) -> None:
    model, x = model_and_data(tables)
    assert model.spec is not None
    again = build_model(model.spec, EVENT).double().eval()
    again.load_state_dict(model.state_dict())
    noise = FromPosterior(lambda n, shape: torch.ones(shape))
    assert again.spec == model.spec
    assert torch.equal(again(x, 2, noise).log_w, model(x, 2, noise).log_w)
    assert {name.split(".")[0] for name in model.state_dict()} <= {"encoder", "latents", "likelihood"}


@every_model
@pytest.mark.parametrize("name", registry.names("objective"))
def test_every_objective_trains_every_parameter(tables: dict[str, Any], name: str) -> None:
    model, x = model_and_data(tables)
    objective = registry.build("objective", {"name": name} | ({"free": 0.0} if name == "free_bits" else {}))
    step = Step(model.train(), objective)
    for _ in range(8):  # a baseline learns from the first step, and an edge is not in every graph
        loss, _ = step(x, torch.tensor(1.0))
        assert loss.shape == ()
        loss.backward()
    for parameter, value in model.named_parameters():
        assert value.grad is not None, parameter
        assert value.grad.abs().max() > 0, parameter


def _compiled() -> list[dict[str, Any]]:
    """One model for each structure, prior, flow, family and kind of gates, since tracing is slow."""
    found, seen = [], set[Any]()
    for tables in MODELS:
        parts = {
            part(tables),
            ("prior", part(tables, "prior")),
            ("flow", part(tables, "posterior", "flow")),
            ("family", part(tables, "posterior", "family")),
            ("gates", part(tables, "gates")),
        }
        if not parts <= seen:
            seen |= parts
            found.append(tables)
    return found


def _allowed(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Any:
    """The traced graph as it is; without zero tensors that have no memory, which compiled code has written to."""
    assert torch.ops.aten._efficientzerotensor.default not in {node.target for node in graph.graph.nodes}
    return make_boxed_func(graph.forward)


ALLOWED = aot_autograd(fw_compiler=_allowed)


def _varieties() -> list[dict[str, Any]]:
    """The plain model with each other variety of each flow as its posterior's."""
    found, seen = [], {(name, *[None] * len(VARIETIES)) for name in registry.names("flow")}
    for spec in specs("flow"):
        if variety(spec) not in seen:
            seen.add(variety(spec))
            found.append({"latents": {"dim": 2, "posterior": {"name": "gaussian", "flow": spec}}})
    return found


varied = pytest.mark.parametrize("tables", [*_compiled(), *_varieties()], ids=lambda tables: _label(tables["latents"]))


@varied
def test_a_training_step_stays_on_its_device(tables: dict[str, Any]) -> None:
    """Neither forward nor backward is anything copied to it, or a value asked for: nothing waits."""
    torch.distributions.Distribution.set_default_validate_args(False)
    model, x = (part.float().to("meta") for part in model_and_data(tables))
    step = Step(model.train(), registry.build("objective", "elbo"))
    with OnMeta():
        step(x, torch.ones((), device="meta"))[0].backward()


@varied
def test_a_training_step_traces_without_a_break(tables: dict[str, Any]) -> None:
    """Loss, measures, gradients and buffers of the compiled step are those of the plain one.

    In single precision, as it is trained: of buffers without dimensions the compiler loses float64's changes in place.
    """
    torch.distributions.Distribution.set_default_validate_args(False)  # as the commands do: checks look at values
    torch.compiler.reset()
    model, x = (part.float() for part in model_and_data(tables))
    step = Step(model.train(), registry.build("objective", "elbo"))
    state, results = deepcopy(model.state_dict()), []
    for run in (step, torch.compile(step, fullgraph=True, backend=ALLOWED)):
        torch.manual_seed(3)
        model.zero_grad()
        model.load_state_dict(state)
        loss, measured = run(x, torch.tensor(0.5))
        loss.backward()
        gradients, buffers = [p.grad for p in model.parameters()], model.buffers()
        results.append([t.detach().clone() for t in (loss, measured, *gradients, *buffers)])
    assert_close(results[1], results[0], rtol=1e-3, atol=1e-4)
