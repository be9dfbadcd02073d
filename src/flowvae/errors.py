"""What a user can cause, said in one sentence with its remedy."""

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """Bad input: the message reads "expected X; got Y" and names the remedy. On the command line, exit code 2."""


def a(noun: str) -> str:
    """The noun with its article: "a flow", "an encoder"; none before the kinds that are many, "gates" or "data"."""
    if noun.endswith("s") or noun == "data":
        return noun
    return f"{'an' if noun[0] in 'aeio' else 'a'} {noun}"


def nearest(name: str, options: Iterable[str]) -> str:
    """The tail of an error message about an unknown ``name``.

    >>> nearest("iav", ["iaf", "planar"])
    "; did you mean 'iaf'?"
    >>> nearest("zzz", ["iaf", "planar"])
    "; expected one of 'iaf', 'planar'"
    """
    options = sorted(options)
    close = get_close_matches(name, options, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return "; expected one of " + ", ".join(map(repr, options)) if options else ""
