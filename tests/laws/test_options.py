"""No option of a flow is without effect: another value makes other parameters, or other points of the same ones."""

from typing import Any, Literal, get_args, get_origin

import pytest
import torch
from torch import Tensor

from flowvae import InputError, registry
from flowvae.registry.signature import keywords
from tests.laws.catalogue import generic

EVENTS = ((4,), (2, 4, 3))
NUMERICAL = ("inversion", "tolerance", "solver", "trace")
"""How what is defined is computed: the laws of inversion and of accuracy hold for each of them."""

BESIDE = {
    ("sylvester", "reflections"): {"form": "householder"},
    ("realnvp", "actnorm"): {"mixing": True},
}
"""What an option takes to matter."""

OPTIONS = [
    (name, option, annotation, default)
    for name in registry.names("flow")
    for option, annotation, default in keywords(registry.component("flow", name))
    if option not in NUMERICAL
]


def others(annotation: Any, default: Any) -> list[Any]:
    """Other values than the default."""
    kinds = [annotation, *get_args(annotation)]
    if choices := next((get_args(kind) for kind in kinds if get_origin(kind) is Literal), ()):
        return [choice for choice in choices if choice != default]
    if isinstance(default, bool):
        return [not default]
    if isinstance(default, int):
        return [default + 1, default + 2, max(1, default - 1)]
    return [default * 0.5] if isinstance(default, float) else [1, 2]


def behaviour(name: str, event: tuple[int, ...], **options: Any) -> dict[str, Tensor]:
    """Shapes of the parameters, and a point's image under generic ones."""
    torch.manual_seed(0)
    context = 3 * torch.Size(event[1:]).numel()  # a vector, or maps as large as the event's
    flow = generic(registry.build("flow", {"name": name} | options, event, context))
    shapes = {name: torch.tensor(parameter.shape) for name, parameter in flow.named_parameters()}
    torch.manual_seed(1)
    x, h = torch.randn(5, *event).flatten(1).double(), torch.randn(5, context).double()
    y, ladj = flow(h).call_and_ladj(x)
    return shapes | {"y": y.detach(), "ladj": ladj.detach()}


def differ(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() != other.keys() or any(not torch.equal(value, other[key]) for key, value in one.items())


@pytest.mark.parametrize(("name", "option", "annotation", "default"), OPTIONS, ids=lambda value: str(value)[:24])
def test_every_option_of_a_flow_has_an_effect(name: str, option: str, annotation: Any, default: Any) -> None:
    found, beside = [], BESIDE.get((name, option), {})
    for event in EVENTS if getattr(registry.component("flow", name), "maps", False) else EVENTS[:1]:
        plain = behaviour(name, event, **beside)
        for value in others(annotation, default):
            try:
                found.append(differ(plain, behaviour(name, event, **beside, **{option: value})))
            except InputError:  # of another form, or size
                continue
    assert any(found), option
