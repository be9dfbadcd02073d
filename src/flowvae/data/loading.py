"""One door to all data: a registered name, a path, or a table of options."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from flowvae import registry
from flowvae.data.base import Data
from flowvae.data.readers import FITTING, TEXTS
from flowvae.errors import InputError, in_memory, nearest


@in_memory(*FITTING)
def load_data(spec: str | Path | dict[str, Any], **options: Any) -> Data:
    """Load a data set by name (``"digits"``), by path (``"my.npz"``), or by a table with a ``name`` that is either.

    ``options`` add to the table: ``load_data("my.npz", scale=255)`` is ``load_data({"name": "my.npz",
    "scale": 255})``. Raises `InputError` for an unknown name, a path that does not exist, an unknown option,
    data that memory cannot hold, or that no model can be trained on.

    >>> data = load_data("digits")
    >>> len(data.train), len(data.validation), len(data.test), data.event_shape
    (1257, 180, 360, (1, 8, 8))
    """
    table = resolve_data(spec, **options)
    data: Data = registry.build("data", table)
    return replace(data, spec=table)


def resolve_data(spec: str | Path | dict[str, Any], *, sequences: bool = False, **options: Any) -> dict[str, Any]:
    """The full table of options that ``spec`` stands for; a path becomes ``{"name": "file", "path": ...}``.

    A path is that of ``tokens`` where it ends as a text does, where ``options`` that only those have are given, or
    where ``sequences`` are expected. Raises `InputError` for an unknown name, a path that does not exist, and options
    that are invalid.
    """
    if not isinstance(spec, str | Path | dict):
        got = type(spec).__name__
        raise InputError(f"expected data by name, path or table; got {got}: make them of arrays with from_arrays(x)")
    table = {**spec, **options} if isinstance(spec, dict) else {"name": str(spec), **options}
    name = table.get("name")
    if isinstance(name, str) and name not in registry.names("data"):
        table |= {"name": _source(name, sequences or _of_tokens(table)), "path": name}
    return registry.resolve("data", table)


def taken_over(own: Mapping[str, Any], source: str) -> dict[str, Any]:
    """What of the options ``own`` holds for other data too, of a ``source`` that knows it: how values become x."""
    known = {option.name for option in registry.options("data", source)}
    return {key: own[key] for key in ("binarise", "dequantise") if key in own and key in known}


def _of_tokens(options: dict[str, Any]) -> bool:
    """Whether ``options`` has some of tokens that a file of numbers has not."""
    tokens, file = ({option.name for option in registry.options("data", name)} for name in ("tokens", "file"))
    return bool(options.keys() & (tokens - file))


def _source(path: str, sequences: bool) -> str:
    """The source that reads ``path``."""
    if not path.strip():
        raise InputError("expected a data set or the path of a file; got an empty name: give one")
    place = Path(path).expanduser()
    if place.is_dir():
        return "folder"
    if place.is_file():
        return "tokens" if sequences or place.suffix.lower() in TEXTS else "file"
    if place.suffix or len(place.parts) > 1:
        raise InputError(f"expected a file or a folder; got {path!r}, which does not exist: check the path")
    known = registry.names("data")
    raise InputError(
        f"expected a data set or the path of a file; got {path!r}{nearest(path, known, 'flowvae list data')}"
    )
