"""A wrong option, command or argument, told in one sentence with the nearest right one."""

import re
from typing import Any

import typer

from flowvae.errors import nearest

# Typer's own copy of click, or click itself in older releases: the class is theirs, whichever it is.
UsageError: type[Exception] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def sentence(error: Exception) -> str:
    """What is wrong in a command line, and what to write instead."""
    context: Any = getattr(error, "ctx", None)
    where = context.command_path if context else "flowvae"
    said = getattr(error, "message", "") or str(error)
    if match := re.match(r"No such command '(.*?)'", said):
        return f"expected a command of '{where}'; got {match[1]!r}{nearest(match[1], context.command.commands)}"
    if option := getattr(error, "option_name", None):
        known = [name for parameter in context.command.params for name in parameter.opts] if context else []
        if type(error).__name__ == "NoSuchOption":
            return f"expected an option of '{where}'; got {option!r}{nearest(option, known)}"
    if parameter := getattr(error, "param", None):
        name = parameter.opts[0] if parameter.param_type_name == "option" else parameter.metavar
        if type(error).__name__ == "MissingParameter":
            return f"expected {name} for '{where}'; got none: see '{where} --help'"
        return f"{name}: {_plain(said)}"
    return f"{_plain(said)}: see '{where} --help'"


def _plain(message: str) -> str:
    message = message.strip().rstrip(".").removeprefix("Value error, ")
    if message.startswith("Input should be "):
        return "expected " + message.removeprefix("Input should be ")
    return message[:1].lower() + message[1:]
