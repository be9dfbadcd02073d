"""Plugins: files of the user's, whose components join the library's."""

import importlib.util
import shlex
import sys
from pathlib import Path
from traceback import extract_tb

from flowvae.errors import InputError

_plugins: list[Path] = []


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
    if (place := path.resolve()) not in _plugins:
        _plugins.append(place)


def plugins() -> tuple[Path, ...]:
    """The plugins loaded so far: another process that is to go on with this one's work needs them too."""
    return tuple(_plugins)


def command_line(*words: object) -> str:
    """``flowvae words...`` as one would write it, with the plugins that this process has loaded."""
    loaded = [word for path in _plugins for word in ("--plugin", _from_here(path))]
    return shlex.join(["flowvae", *map(str, (*words, *loaded))])


def _from_here(path: Path) -> Path:
    """The path as it is written in this folder, where it lies there."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _place(error: Exception, file: str) -> tuple[str, str]:
    """Where in ``file`` an error came up, as far as that is known, and what it says."""
    if isinstance(error, SyntaxError):
        lines, said = [error.lineno] if error.filename == file else [], error.msg
    else:
        lines, said = [], str(error)
    lines = lines or [frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == file]
    return (f" at line {lines[-1]}" if lines else ""), said
