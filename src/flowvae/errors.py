"""What a user can cause, said in one sentence with its remedy."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches

MOST, SHOWN = 12, 8
"""Names that a message lists, twice as many where no command prints them; and how many where there are more."""

BEYOND = "MemoryError|(allocate|enough|out of) memory|overflow|maximum allowed dimension|array is too big"
"""What an error says of a size beyond memory, and no other, as of an illegal access to it."""


class InputError(ValueError):
    """Bad input: the message reads "expected X; got Y" and names the remedy. On the command line, exit code 2."""


@contextmanager
def in_memory(what: str, remedy: str) -> Iterator[None]:
    """What torch and numpy say of sizes that memory cannot hold, in one sentence."""
    try:
        yield
    except InputError:
        raise
    except (MemoryError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        said = f"{type(error).__name__}: {error}"
        if not re.search(BEYOND, said, re.IGNORECASE):
            raise
        size = re.search(r"allocate ([\d.]+) (\w+)", said)
        got = f"one that takes {_readable(*size.groups())} for a single array" if size else "one beyond any memory"
        raise InputError(f"expected {what} that fits in memory; got {got}: {remedy}") from error


def _readable(number: str, unit: str) -> str:
    """A size as numpy tells it, of torch's in bytes too."""
    return f"{int(number) / 2**30:.0f} GiB" if unit == "bytes" else f"{number} {unit}"


def require_count(value: int, what: str) -> None:
    """Raise `InputError` unless ``value`` is a whole number from 1, of ``what``."""
    if not hasattr(value, "__index__") or value < 1:
        raise InputError(f"expected at least 1 {what}; got {value!r}: give a whole number from 1")


def a(noun: str) -> str:
    """The noun with its article: "a flow", "an encoder"; none before the kinds that are many, "gates" or "data"."""
    if noun.endswith("s") or noun == "data":
        return noun
    return f"{'an' if noun[0] in 'aeio' else 'a'} {noun}"


def counted(number: int, noun: str) -> str:
    """The number and its noun.

    >>> counted(1, "row"), counted(2, "row")
    ('1 row', '2 rows')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listed(options: Iterable[str], command: str = "") -> str:
    """The ``options`` in words, sorted: as many as a sentence bears, and the ``command`` that prints them all.

    >>> listed(["planar", "iaf"])
    "'iaf', 'planar'"
    >>> listed("abcdefghijklmnopq", "flowvae list flow")
    "'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', ... (9 more: see 'flowvae list flow')"
    """
    names = sorted(options)
    if len(names) <= (MOST if command else 2 * MOST):
        return ", ".join(map(repr, names))
    see = f": see {command!r}" if command else ""
    return ", ".join(map(repr, names[:SHOWN])) + f", ... ({len(names) - SHOWN} more{see})"


def nearest(name: str, options: Iterable[str], command: str = "") -> str:
    """The tail of an error message about an unknown ``name``; the ``command`` prints all ``options``.

    >>> nearest("iav", ["iaf", "planar"])
    "; did you mean 'iaf'?"
    >>> nearest("zzz", ["iaf", "planar"])
    "; expected one of 'iaf', 'planar'"
    """
    options = list(options)
    close = get_close_matches(name, sorted(options), n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; expected one of {listed(options, command)}" if options else ""
