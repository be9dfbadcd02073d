"""Schemas: what is printed is read again, and what cannot be read is named."""

import json
from copy import deepcopy

import numpy as np
import pytest

from flowvae.errors import InputError
from flowvae.schema import Feature, Schema, Type

NETWORKS = Schema(
    4,
    [
        Type("conv", Feature("log-normal", shift=3.0, scale=0.5)), Type("drop", Feature("unit")),
        Type("skip", Feature("discrete", levels=("", "0", "1"))), Type("flatten"),
    ],
)  # fmt: skip
LETTERS = Schema(5, [Type("<unk>"), Type("C"), Type("Cl"), Type("[nH]")], separator="", unknown="<unk>")


@pytest.mark.parametrize("text", ["", "flatten", "conv:32 drop:0.25 skip:1 flatten", "skip skip:0 skip:1", "conv:5.5"])
def test_what_is_printed_is_read_again(text: str) -> None:
    values = NETWORKS.parse(text)
    assert values.shape == (4, 2)
    assert NETWORKS.text(values) == text
    assert NETWORKS.text(NETWORKS.parse(NETWORKS.text(values))) == text


def test_numbers_are_held_on_the_normalised_scale() -> None:
    values = NETWORKS.parse("conv:32 drop:0.25 skip:1")
    expected = [[1, (np.log(32) - 3) / 0.5], [2, 0.25], [3, 2], [0, 0]]
    np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_longest_names_are_read_first_and_the_rest_is_unknown() -> None:
    values = LETTERS.parse("CCl[nH]x")
    assert values[:, 0].tolist() == [2, 3, 4, 1, 0]
    assert LETTERS.text(values) == "CCl[nH]<unk>"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("con:3", "did you mean 'conv'"),
        ("conv", "expected 'conv:VALUE'; got 'conv'"),
        ("flatten:3", "expected 'flatten'; got 'flatten:3'"),
        ("conv:-1", "between 0 and inf"),
        ("conv:0", "between 0 and inf"),
        ("conv:nan", "between"),
        ("drop:1.5", "between 0 and 1"),
        ("drop:half", "expected a number"),
        ("skip:7", "expected a level"),
        ("flatten " * 5, "at most 4 steps; got 5"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        NETWORKS.parse(text)


@pytest.mark.parametrize("schema", [NETWORKS, LETTERS])
def test_a_schema_survives_a_file_and_a_copy(schema: Schema) -> None:
    again = Schema.of_table(json.loads(json.dumps(schema.table())))
    assert again == schema == deepcopy(schema)
    assert again.features == schema.features


def test_schemas_differ_by_their_types_but_are_shapes_to_others() -> None:
    other = Schema(4, [*NETWORKS.types[:3], Type("end")])
    assert other != NETWORKS
    assert NETWORKS == (4, 2)
    assert NETWORKS != (5, 2)


def test_numbers_that_are_measured_do_not_tell_data_apart() -> None:
    assert NETWORKS.key(NETWORKS.parse("conv:32 skip:1")) == NETWORKS.key(NETWORKS.parse("conv:33 skip:1"))
    assert NETWORKS.key(NETWORKS.parse("conv:32 skip:1")) != NETWORKS.key(NETWORKS.parse("conv:32 skip:0"))
    assert NETWORKS.key(NETWORKS.parse("flatten")) != NETWORKS.key(NETWORKS.parse("flatten flatten"))


def test_other_shapes_are_refused() -> None:
    with pytest.raises(InputError, match=r"expected sequences; got data of shape \(1, 8, 8\)"):
        Schema.of((1, 8, 8))
