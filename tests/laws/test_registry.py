"""Every component says what it is, and builds from its shapes alone."""

import inspect
import re

import pytest

from flowvae import registry
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


@pytest.mark.parametrize(("kind", "name"), [pair for pair in NAMED if pair[0] in SHAPES])
def test_it_builds_from_its_shapes_alone(kind: str, name: str) -> None:
    """In some shape at least: a flow may need more than one dimension, an encoder of sequences wants sequences."""
    assert any(case.spec["name"] == name for case in cases(kind))
