"""Docstrings hold plain mathematics; its signs are kept from being read as markup."""

import re

CODE = re.compile(r"(`+[^`]*`+)")
SIGNS = re.compile(r"([*|])|(?<=\w)(_)(?!\w)")


def escape(app, what, name, obj, options, lines):
    r"""Escape ``*``, ``|`` and a trailing ``_`` outside backticks and examples: ``log |det J|`` is no substitution."""
    example = False
    for i, line in enumerate(lines):
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))
        if not example:
            parts = CODE.split(line)
            parts[::2] = [SIGNS.sub(r"\\\g<0>", part) for part in parts[::2]]
            lines[i] = "".join(parts)
