"""A signature is a schema: keyword-only parameters are options, whose annotations say what they take.

Options are validated by pydantic from their annotations, so a component carries no validation of its own.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from flowvae.errors import InputError, nearest

Spec = str | dict[str, Any]
"""A component by name, with its options in a table: ``"iaf"`` or ``{"name": "iaf", "steps": 4}``."""

M = TypeVar("M", bound=BaseModel)

Count = Annotated[int, Field(ge=1, strict=True)]
NonNegative = Annotated[int, Field(ge=0, strict=True)]
LARGEST_INT = 2**63 - 1  # that torch's generators take
Seed = Annotated[int, Field(ge=0, le=LARGEST_INT, strict=True)]
Several = Annotated[int, Field(ge=2, strict=True)]
Positive = Annotated[float, Field(gt=0, strict=True)]
NonNegativeFloat = Annotated[float, Field(ge=0, strict=True)]
Fraction = Annotated[float, Field(ge=0, le=1, strict=True)]


@dataclass(frozen=True)
class Kind:
    """Marks an option as a nested component: ``flow: Annotated[Spec | None, Kind("flow")] = None``."""

    kind: str


@dataclass(frozen=True)
class Option:
    """One option of a component, for `show` and the documentation."""

    name: str
    type: str
    default: Any
    kind: str | None


def keywords(target: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
    """Name, annotation and default of each keyword-only parameter of a class or function."""
    function = target.__init__ if inspect.isclass(target) else target
    hints = get_type_hints(function, include_extras=True)
    return [
        (parameter.name, hints[parameter.name], parameter.default)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]


def schema(target: Callable[..., Any]) -> type[BaseModel]:
    """The options of a component as a pydantic model."""
    fields: dict[str, Any] = {name: (annotation, default) for name, annotation, default in keywords(target)}
    config = ConfigDict(extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True)
    return create_model(target.__name__, __config__=config, **fields)


def slot(annotation: Any) -> Kind | None:
    """The mark of an option that is a nested component."""
    if get_origin(annotation) is Annotated:
        return next((extra for extra in get_args(annotation)[1:] if isinstance(extra, Kind)), None)
    return None


def may_be_none(annotation: Any) -> bool:
    """Whether an option takes None."""
    return NoneType in get_args(_bare(annotation))


def options_of(target: Callable[..., Any]) -> list[Option]:
    """The options of a component, in the order of its signature."""
    found = []
    for parameter, annotation, default in keywords(target):
        nested = slot(annotation)
        found.append(Option(parameter, _type_name(annotation), default, nested.kind if nested else None))
    return found


def validated(model: type[M], values: Any, path: str) -> M:
    """A pydantic model from a table, with problems told as `InputError` and unknown keys by their nearest name."""
    if not isinstance(values, Mapping):
        raise InputError(f"{path}: expected a table; got {values!r}: write it as name = value, or in braces")
    for key in values:
        if key not in model.model_fields:
            raise InputError(f"{path}.{key}: no such option{nearest(key, model.model_fields)}")
    try:
        return model(**values)
    except ValidationError as error:
        raise InputError(_first_problem(error, path)) from None


def _bare(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _type_name(annotation: Any) -> str:
    if nested := slot(annotation):
        return nested.kind + (" or none" if may_be_none(annotation) else "")
    bare = _bare(annotation)
    if get_origin(bare) is Literal:
        return " | ".join(map(repr, get_args(bare)))
    if get_origin(bare) in (Union, UnionType):
        return " | ".join(map(_type_name, get_args(bare)))
    return _bounds(annotation) if get_origin(annotation) is Annotated else getattr(bare, "__name__", str(bare))


def _bounds(annotation: Any) -> str:
    bare, *extras = get_args(annotation)
    text = getattr(bare, "__name__", str(bare))
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    for extra in extras:
        for constraint in getattr(extra, "metadata", []):
            for attribute, sign in signs.items():
                bound = getattr(constraint, attribute, LARGEST_INT)
                if bound != LARGEST_INT:  # as good as none
                    text += f" {sign} {bound}"
    return text


def _first_problem(error: ValidationError, path: str) -> str:
    problem = error.errors()[0]
    where = ".".join([path, *(str(part) for part in problem["loc"] if not str(part).startswith("function"))])
    if isinstance(own := problem.get("ctx", {}).get("error"), InputError):
        return f"{where}: {own}"
    if problem["type"] == "missing":
        counted = " (entries count from 0)" if isinstance(problem["loc"][-1], int) else ""
        return f"{where}: expected a value{counted}; got none: set it"
    if problem["type"] == "too_short":
        least = problem["ctx"]["min_length"]
        return f"{where}: expected {least} or more entries; got {len(problem['input'])}: add what is missing"
    expectation = problem["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return f"{where}: expected {expectation}; got {problem['input']!r}"
