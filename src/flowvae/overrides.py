"""Changes to nested tables, by dotted path: ``--set latents.posterior.flow.steps=8``."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any

from flowvae.errors import InputError

DEFAULT = object()
"""What stands for the default of an entry."""


def with_overrides(tables: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """``tables`` with each ``"a.b=c"`` laid over them; c is a TOML value or bare text, and nothing is the default.

    Later ones count, but a component is named before its entries are set: another name starts from its own defaults.

    >>> tables = {"latents": {"dim": 8, "posterior": "gaussian"}}
    >>> with_overrides(tables, ["latents.posterior.flow.steps=2", "latents.dim=", "latents.posterior.flow=planar"])
    {'latents': {'posterior': {'name': 'gaussian', 'flow': {'name': 'planar', 'steps': 2}}}}
    """
    return _laid(tables, map(_split, overrides))


def with_changes(tables: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``tables`` with ``changes`` laid over them; their keys may be dotted: ``{"latents.dim": 8}``."""
    return _laid(tables, ((key.split("."), value) for key, value in changes.items()))


def _laid(tables: Mapping[str, Any], changes: Iterable[tuple[list[str], Any]]) -> dict[str, Any]:
    laid = deepcopy(dict(tables))
    for path, value in _in_order(changes):
        if value is DEFAULT:
            _descend(laid, path[:-1]).pop(path[-1], None)
        else:
            _merge(laid, path, value)
    return laid


def _in_order(changes: Iterable[tuple[list[str], Any]]) -> list[tuple[list[str], Any]]:
    """The changes as they are given, but each that names a component before those of its entries."""
    ordered: list[tuple[list[str], Any]] = []
    for path, value in changes:
        place = len(ordered)
        if isinstance(value, str) or (isinstance(value, Mapping) and "name" in value):
            named = path[:-1] if path[-1] == "name" else path
            inside = (n for n, (other, _) in enumerate(ordered) if _is_entry(other, named))
            place = next(inside, place)
        ordered.insert(place, (path, value))
    return ordered


def _is_entry(path: list[str], component: list[str]) -> bool:
    """Whether ``path`` is that of an option of the ``component``, or deeper, and not of its name."""
    return path[: len(component)] == component and path not in (component, [*component, "name"])


def _split(override: str) -> tuple[list[str], Any]:
    """The path and the value of ``"a.b=c"``."""
    path, sign, value = override.partition("=")
    parts = [part.strip() for part in path.split(".")]
    if not sign or not all(parts):
        raise InputError(f"expected a change as a.b=c; got {override!r}: write --set training.epochs=20")
    return parts, parsed(value.strip()) if value.strip() else DEFAULT


def parsed(text: str) -> Any:
    """``text`` as a TOML value, or as it stands where it is none.

    >>> parsed("0.1"), parsed("[1, 2]"), parsed("{name = 'iaf'}"), parsed("iaf"), parsed("true")
    (0.1, [1, 2], {'name': 'iaf'}, 'iaf', True)
    """
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _merge(tables: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Lay ``value`` over the entry at ``path``, in place: tables entry by entry, anything else as a whole.

    A component whose name changes starts from the new one's defaults: the options of another do not fit it.

    >>> tables = {"flow": {"name": "iaf", "steps": 2}}
    >>> _merge(tables, ["flow"], {"width": 64}); tables
    {'flow': {'name': 'iaf', 'steps': 2, 'width': 64}}
    >>> _merge(tables, ["flow", "name"], "planar"); tables
    {'flow': {'name': 'planar'}}
    """
    parent, key = _descend(tables, path[:-1]), path[-1]
    if key == "name" and parent.get("name", value) != value:
        parent.clear()
    known = parent.get(key)
    if not isinstance(value, Mapping):
        parent[key] = value
        return
    if isinstance(known, str):
        known = {"name": known}
    if not isinstance(known, dict) or known.get("name") != value.get("name", known.get("name")):
        known = {}
    parent[key] = known
    for name, entry in value.items():
        _merge(known, [name], entry)


def _descend(tables: dict[str, Any], path: Sequence[str]) -> dict[str, Any]:
    """The table at ``path``, made where it is not there; a component given by its name becomes a table."""
    node: Any = tables
    for depth, part in enumerate(path):
        if isinstance(node, list):
            if not part.isdigit() or int(part) >= len(node):
                where = ".".join(path[:depth])
                raise InputError(f"{where}: expected a number below {len(node)}; got {part!r}: entries count from 0")
            node = node[int(part)]
            continue
        child = node.get(part, {})
        node[part] = {"name": child} if isinstance(child, str) else child
        node = node[part]
        if not isinstance(node, dict | list):
            raise InputError(f"{'.'.join(path[: depth + 1])}: expected a table; got {node!r}: set it as a whole")
    if not isinstance(node, dict):
        raise InputError(f"{'.'.join(path)}: expected a table; got a list: name an entry, {'.'.join(path)}.0")
    return node
