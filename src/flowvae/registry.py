"""Names to components: a component is one file, and its signature is the schema of its options.

Positional parameters are shapes, wired by the parent; keyword-only parameters are the user's options, all with
defaults. Options are validated by pydantic from their annotations, so a component carries no validation of its own.
"""

import importlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from traceback import extract_tb
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from flowvae.errors import InputError, a, listed, nearest

Spec = str | dict[str, Any]
"""A component by name, with its options in a table: ``"iaf"`` or ``{"name": "iaf", "steps": 4}``."""

C = TypeVar("C", bound=Callable[..., Any])
M = TypeVar("M", bound=BaseModel)

Count = Annotated[int, Field(ge=1, strict=True)]
NonNegative = Annotated[int, Field(ge=0, strict=True)]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1, strict=True)]
Several = Annotated[int, Field(ge=2, strict=True)]
Positive = Annotated[float, Field(gt=0, strict=True)]
NonNegativeFloat = Annotated[float, Field(ge=0, strict=True)]
Fraction = Annotated[float, Field(ge=0, le=1, strict=True)]

PACKAGES = {
    "encoder": "flowvae.encoders",
    "decoder": "flowvae.decoders",
    "recurrence": "flowvae.decoders",
    "family": "flowvae.distributions",
    "flow": "flowvae.flows",
    "prior": "flowvae.priors",
    "posterior": "flowvae.posteriors",
    "likelihood": "flowvae.likelihoods",
    "latents": "flowvae.latents",
    "gates": "flowvae.latents",
    "objective": "flowvae.objectives",
    "data": "flowvae.data",
    "optimiser": "flowvae.engine",
    "schedule": "flowvae.engine",
    "measure": "flowvae.measures",
}
"""Where each kind lives: every module of the package is read, so a new file needs no edit elsewhere."""


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


_components: dict[str, dict[str, Callable[..., Any]]] = {kind: {} for kind in PACKAGES}
_discovered: set[str] = set()
_plugins: list[Path] = []


def register(kind: str, name: str) -> Callable[[C], C]:
    """Class or function decorator: make a component known as ``name`` among those of ``kind``."""
    if kind not in PACKAGES:
        raise InputError(f"expected a kind of component; got {kind!r}{nearest(kind, PACKAGES)}")

    def add(component: C) -> C:
        if not component.__module__.startswith("flowvae."):
            _discover(kind)  # a plugin comes after the library, whose names are taken
        known = _components[kind].get(name)
        if known is not None and _identity(known) != _identity(component):
            raise InputError(f"expected a new name; got {name!r}, which is {a(kind)} already: choose another name")
        _components[kind][name] = component
        return component

    return add


def names(kind: str) -> list[str]:
    """The registered names of ``kind``, sorted."""
    _discover(kind)
    return sorted(_components[kind])


def component(kind: str, name: str) -> Callable[..., Any]:
    """The class or function registered as ``name``; `InputError` names the nearest one for a typo."""
    _discover(kind)
    if name not in _components[kind]:
        raise InputError(f"expected {a(kind)}; got {name!r}{nearest(name, _components[kind], _listing(kind))}")
    return _components[kind][name]


def describe(kind: str, name: str) -> str:
    """The documentation of a component."""
    return inspect.getdoc(component(kind, name)) or ""


def cost(kind: str, name: str) -> dict[str, str]:
    """What a component says of its cost, by what is done with it: flows do."""
    stated = getattr(component(kind, name), "cost", None)
    return stated._asdict() if stated else {}


def options(kind: str, name: str) -> list[Option]:
    """The options of a component, in the order of its signature."""
    found = []
    for parameter, annotation, default in _keywords(component(kind, name)):
        slot = _slot(annotation)
        found.append(Option(parameter, _type_name(annotation), default, slot.kind if slot else None))
    return found


def resolve(kind: str, spec: Spec | None, *, default: str | None = None, path: str | None = None) -> dict[str, Any]:
    """Validate ``spec`` and everything nested in it, and fill in the defaults; ``default`` names it if it does not.

    Raises `InputError` for an unknown name, an unknown option (with the nearest known one), a wrong type or a value
    out of range; the message carries the dotted path to the offending entry.
    """
    path = path or kind
    if not isinstance(spec, str | Mapping | None):
        raise InputError(f"{path}: expected a name or a table; got {spec!r}: write {path} = {{ name = ... }}")
    table: dict[str, Any] = {"name": spec} if isinstance(spec, str) else dict(spec or {})
    name = table.pop("name", default)
    if not isinstance(name, str):
        known = listed(names(kind), _listing(kind))
        raise InputError(f"{path}: expected a name, one of {known}; got {name!r}: set {path}.name")
    try:
        target = component(kind, name)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    keywords = _keywords(target)
    known_options = [parameter for parameter, _, _ in keywords]
    for key in table:
        if key not in known_options:
            known = nearest(key, known_options, f"flowvae show {kind}/{name}")
            raise InputError(f"{path}.{key}: {name!r} has no such option{known}")
    for parameter, annotation, fallback in keywords:
        slot = _slot(annotation)
        value = table.get(parameter, fallback)
        empty = slot and NoneType in get_args(_bare(annotation)) and value in (None, "none", {"name": "none"})
        if empty:
            table[parameter] = None
        elif slot:
            usual = fallback if isinstance(fallback, str) else None
            table[parameter] = resolve(slot.kind, value, default=usual, path=f"{path}.{parameter}")
    try:
        values = _schema(target)(**table)
    except ValidationError as error:
        raise InputError(_first_problem(error, path)) from None
    return {"name": name, **{key: getattr(values, key) for key in known_options}}


def build(kind: str, spec: Spec, *shapes: Any) -> Any:
    """Build a component from its specification and the shapes that its parent gives it."""
    table = resolve(kind, spec)
    return component(kind, table.pop("name"))(*shapes, **table)


def load_plugin(path: str | Path) -> None:
    """Run a user's Python file, whose `register` decorators add components.

    Raises `InputError` where there is no such file, and where running it fails: the line is told.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"expected a Python file; got {str(path)!r}, which is no file: check the path")
    if path.suffix != ".py":
        raise InputError(f"expected a Python file; got {str(path)!r}: give it a name that ends in .py")
    name = f"flowvae_plugin_{path.stem}"
    module_spec = importlib.util.spec_from_file_location(name, path)
    assert module_spec is not None
    assert module_spec.loader is not None
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[name] = module
    try:
        module_spec.loader.exec_module(module)
    except InputError:
        raise
    except Exception as error:
        del sys.modules[name]
        line, said = _place(error, str(module_spec.origin))
        raise InputError(
            f"expected a Python file that runs; got {type(error).__name__} in {str(path)!r}{line}, {said}: correct it"
        ) from error
    _plugins.append(path.resolve())


def plugins() -> tuple[Path, ...]:
    """The plugins loaded so far: another process that is to go on with this one's work needs them too."""
    return tuple(_plugins)


def validated(model: type[M], values: dict[str, Any], path: str) -> M:
    """A pydantic model from a table, with problems told as `InputError` and unknown keys by their nearest name."""
    for key in values:
        if key not in model.model_fields:
            raise InputError(f"{path}.{key}: no such option{nearest(key, model.model_fields)}")
    try:
        return model(**values)
    except ValidationError as error:
        raise InputError(_first_problem(error, path)) from None


def _place(error: Exception, file: str) -> tuple[str, str]:
    """Where in ``file`` an error came up, as far as that is known, and what it says."""
    if isinstance(error, SyntaxError):
        lines, said = [error.lineno] if error.filename == file else [], error.msg
    else:
        lines, said = [], str(error)
    lines = lines or [frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == file]
    return (f" at line {lines[-1]}" if lines else ""), said


def _discover(kind: str) -> None:
    if kind not in PACKAGES:
        raise InputError(f"expected a kind of component; got {kind!r}{nearest(kind, PACKAGES)}")
    package_name = PACKAGES[kind]
    if package_name in _discovered:
        return
    _discovered.add(package_name)
    package = importlib.import_module(package_name)
    for module in pkgutil.iter_modules(getattr(package, "__path__", [])):
        importlib.import_module(f"{package_name}.{module.name}")


def _listing(kind: str) -> str:
    return f"flowvae list {kind}"


def _identity(target: Callable[..., Any]) -> tuple[str, str]:
    return target.__module__, target.__qualname__


def _keywords(target: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
    function = target.__init__ if inspect.isclass(target) else target
    hints = get_type_hints(function, include_extras=True)
    return [
        (parameter.name, hints[parameter.name], parameter.default)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]


def _schema(target: Callable[..., Any]) -> type[BaseModel]:
    fields: dict[str, Any] = {name: (annotation, default) for name, annotation, default in _keywords(target)}
    config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=False, arbitrary_types_allowed=True)
    return create_model(target.__name__, __config__=config, **fields)


def _slot(annotation: Any) -> Kind | None:
    if get_origin(annotation) is Annotated:
        return next((extra for extra in get_args(annotation)[1:] if isinstance(extra, Kind)), None)
    return None


def _bare(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _type_name(annotation: Any) -> str:
    slot = _slot(annotation)
    bare = _bare(annotation)
    if slot:
        return slot.kind + (" or none" if NoneType in get_args(bare) else "")
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
                if hasattr(constraint, attribute):
                    text += f" {sign} {getattr(constraint, attribute)}"
    return text


def _first_problem(error: ValidationError, path: str) -> str:
    problem = error.errors()[0]
    where = ".".join([path, *(str(part) for part in problem["loc"] if not str(part).startswith("function"))])
    if isinstance(own := problem.get("ctx", {}).get("error"), InputError):
        return f"{where}: {own}"
    if problem["type"] == "missing":
        counted = " (entries count from 0)" if isinstance(problem["loc"][-1], int) else ""
        return f"{where}: expected a value{counted}; got none: set it"
    expectation = problem["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return f"{where}: expected {expectation}; got {problem['input']!r}"
