"""Changes to nested tables, by dotted path: ``--set latents.posterior.flow.steps=8``."""

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from flowvae.errors import InputError


def assign(tables: dict[str, Any], override: str) -> None:
    """Lay ``"a.b=c"`` over ``tables``, in place; c is a TOML value or bare text, and nothing goes back to the default.

    >>> tables = {"latents": {"dim": 8, "posterior": "gaussian"}}
    >>> assign(tables, "latents.posterior.flow.steps=2")
    >>> assign(tables, "latents.dim=")
    >>> tables
    {'latents': {'posterior': {'name': 'gaussian', 'flow': {'steps': 2}}}}
    """
    path, sign, value = override.partition("=")
    parts = [part.strip() for part in path.split(".")]
    if not sign or not all(parts):
        raise InputError(f"expected a change as a.b=c; got {override!r}: write --set training.epochs=20")
    if value.strip():
        merged(tables, parts, parsed(value.strip()))
    else:
        parent = _descend(tables, parts[:-1])
        parent.pop(parts[-1], None)


def parsed(text: str) -> Any:
    """``text`` as a TOML value, or as it stands where it is none.

    >>> parsed("0.1"), parsed("[1, 2]"), parsed("{name = 'iaf'}"), parsed("iaf"), parsed("true")
    (0.1, [1, 2], {'name': 'iaf'}, 'iaf', True)
    """
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def merged(tables: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Lay ``value`` over the entry at ``path``, in place: tables entry by entry, anything else as a whole.

    A component whose name changes starts from the new one's defaults: the options of another do not fit it.

    >>> tables = {"flow": {"name": "iaf", "steps": 2}}
    >>> merged(tables, ["flow"], {"width": 64}); tables
    {'flow': {'name': 'iaf', 'steps': 2, 'width': 64}}
    >>> merged(tables, ["flow", "name"], "planar"); tables
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
        merged(known, [name], entry)


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
