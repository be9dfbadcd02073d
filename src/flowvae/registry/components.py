"""Names to components: a component is one file, registered under its name among those of its kind."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from flowvae.errors import InputError, a, listed, nearest
from flowvae.registry.signature import Option, Spec, keywords, may_be_none, options_of, schema, slot, validated

C = TypeVar("C", bound=Callable[..., Any])

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

_components: dict[str, dict[str, Callable[..., Any]]] = {kind: {} for kind in PACKAGES}
_discovered: set[str] = set()


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
    return options_of(component(kind, name))


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
    declared = keywords(target)
    known_options = [parameter for parameter, _, _ in declared]
    for key in table:
        if key not in known_options:
            known = nearest(key, known_options, f"flowvae show {kind}/{name}") or "; it has none: leave it out"
            raise InputError(f"{path}.{key}: {name!r} has no such option{known}")
    for parameter, annotation, fallback in declared:
        nested = slot(annotation)
        value = table.get(parameter, fallback)
        if nested and may_be_none(annotation) and value in (None, "none", {"name": "none"}):
            table[parameter] = None
        elif nested:
            usual = fallback if isinstance(fallback, str) else None
            table[parameter] = resolve(nested.kind, value, default=usual, path=f"{path}.{parameter}")
    values = validated(schema(target), table, path)
    return {"name": name, **{key: getattr(values, key) for key in known_options}}


def build(kind: str, spec: Spec, *shapes: Any) -> Any:
    """Build a component from its specification and the shapes that its parent gives it."""
    table = resolve(kind, spec)
    return component(kind, table.pop("name"))(*shapes, **table)


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
