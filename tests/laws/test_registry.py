"""Every component says what it is, and builds from its shapes alone."""

import inspect
import re
from typing import Any, get_args, get_type_hints

import pytest

from flowvae import InputError, registry
from flowvae.engine.options import Training, training_options
from flowvae.registry.signature import keywords
from tests.laws.catalogue import SHAPES, cases

NAMED = [(kind, name) for kind in registry.PACKAGES for name in registry.names(kind)]
named = pytest.mark.parametrize(("kind", "name"), NAMED)


@named
def test_it_is_named_and_described(kind: str, name: str) -> None:
    assert re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name)
    assert len(registry.describe(kind, name)) > 20


@pytest.mark.parametrize("name", registry.names("flow"))
def test_a_flow_states_its_cost(name: str) -> None:
    cost = registry.cost("flow", name)
    assert list(cost) == ["drawing", "scoring"]
    assert all("pass" in words for words in cost.values())


@named
def test_its_options_are_keywords_with_defaults_that_are_valid(kind: str, name: str) -> None:
    for option in registry.options(kind, name):
        assert option.default is not inspect.Parameter.empty, option.name
        assert option.type
    table = registry.resolve(kind, name)
    assert table == registry.resolve(kind, table)
    assert list(table) == ["name", *(option.name for option in registry.options(kind, name))]


def takes_numbers(annotation: Any) -> bool:
    """Whether an option is a number, or several."""
    return annotation in (int, float) or any(map(takes_numbers, get_args(annotation)))


NUMBERS = [
    (kind, name, option)
    for kind, name in NAMED
    for option, annotation, _ in keywords(registry.component(kind, name))
    if takes_numbers(annotation)
]
IN_TRAINING = [name for name, hint in get_type_hints(Training, include_extras=True).items() if takes_numbers(hint)]
NO_NUMBERS = [True, False, "1", "0.01", [True, False], ["0.01", "1"]]


@pytest.mark.parametrize(("kind", "name", "option"), NUMBERS)
def test_a_number_is_neither_a_switch_nor_a_text(kind: str, name: str, option: str) -> None:
    for value in NO_NUMBERS:
        with pytest.raises(InputError, match=rf"^{kind}\.{option}"):
            registry.resolve(kind, {"name": name, option: value})


@pytest.mark.parametrize("option", IN_TRAINING)
def test_nor_is_a_number_of_training(option: str) -> None:
    for value in NO_NUMBERS:
        with pytest.raises(InputError, match=rf"^training\.{option}"):
            training_options(**{option: value})


def test_a_whole_number_is_a_number() -> None:
    assert registry.resolve("flow", {"name": "iaf", "gate_bias": 1})["gate_bias"] == 1
    assert registry.resolve("optimiser", {"name": "adam", "betas": [0, 0]})["betas"] == (0, 0)


@pytest.mark.parametrize(("kind", "name"), [pair for pair in NAMED if pair[0] in SHAPES])
def test_it_builds_from_its_shapes_alone(kind: str, name: str) -> None:
    """In some shape at least: a flow may need more than one dimension, an encoder of sequences wants sequences."""
    assert any(case.spec["name"] == name for case in cases(kind))
