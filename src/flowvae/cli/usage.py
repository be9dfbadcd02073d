"""A wrong option, command or argument, told in one sentence with the nearest right one."""

import re
from collections.abc import Sequence
from typing import Any

import typer

from flowvae.errors import InputError, nearest

# Typer's own copy of click, or click itself in older releases: the class is theirs, whichever it is.
UsageError: type[Exception] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def require_once(command: Any, arguments: Sequence[str]) -> None:
    """Refuse an option of one value that is given twice: the parser would take the last and say nothing."""
    given: set[str] = set()
    for argument in arguments:
        if argument == "--":
            return
        if argument in getattr(command, "commands", {}):
            command = command.commands[argument]
        name = argument.partition("=")[0] if argument.startswith("--") else argument[:2]  # -k3 is -k 3
        for option in (parameter for parameter in command.params if parameter.param_type_name == "option"):
            if name in option.opts and not option.multiple and not option.is_flag:
                if option.name in given:
                    raise InputError(f"expected {name} once; got it again: give it one value")
                given.add(option.name)


def sentence(error: Exception) -> str:
    """What is wrong in a command line, and what to write instead."""
    context: Any = getattr(error, "ctx", None)
    where = context.command_path if context else "flowvae"
    said = getattr(error, "message", "") or str(error)
    if match := re.match(r"No such command '(.*?)'", said):
        return f"expected a command of '{where}'; got {match[1]!r}{nearest(match[1], context.command.commands)}"
    if option := getattr(error, "option_name", None):
        options = [p for p in context.command.params if p.param_type_name == "option"] if context else []
        known = [name for parameter in options for name in parameter.opts]
        if type(error).__name__ == "NoSuchOption":
            return f"expected an option of '{where}'; got {option!r}{nearest(option, known)}"
    if parameter := getattr(error, "param", None):
        name = parameter.opts[0] if parameter.param_type_name == "option" else parameter.metavar
        if type(error).__name__ == "MissingParameter":
            return f"expected {name} for '{where}'; got none: see '{where} --help'"
        return f"{name}: {_plain(said)}{_given(error)}"
    return f"{_plain(said)}: see '{where} --help'"


def _given(error: Exception) -> str:
    """What was given, where the parser keeps it and its message does not tell."""
    problems: list[dict[str, Any]] = getattr(error.__cause__, "errors", list)()
    return f"; got {problems[0]['input']}" if problems and problems[0]["msg"].startswith("Input should be ") else ""


def _plain(message: str) -> str:
    message = message.strip().rstrip(".").removeprefix("Value error, ").partition(", unable to parse")[0]
    if message.startswith("Input should be "):
        return "expected " + message.removeprefix("Input should be ")
    return message[:1].lower() + message[1:]
