"""What README and docs tell a user to write is accepted: commands, options, recipes."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import tomli_w
from typer.main import get_command

from flowvae import registry
from flowvae.cli.main import app
from flowvae.config import Config, recipes
from flowvae.study import Study, studies

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def found(pattern):
    return [
        pytest.param(match, id=f"{page.stem}: {match.splitlines()[0].strip()}")
        for page in PAGES
        for match in re.findall(pattern, page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    ]


def parsed(arguments):
    """The words of the command and its parameters; raises where `flowvae` would complain about the line."""
    command, words = get_command(app), []
    while True:
        context = command.make_context("flowvae", list(arguments))
        if not hasattr(command, "commands"):
            return words, context.params
        name, command, arguments = command.resolve_command(context, [*context._protected_args, *context.args])
        words.append(name)


@pytest.mark.parametrize("line", found(r"(?:^ {4}(?:\.venv/bin/)?|`)flowvae ([^`\n]+)"))
def test_commands_are_accepted(line, monkeypatch):
    monkeypatch.setattr(registry, "load_plugin", lambda path: None)
    arguments = shlex.split(line, comments=True)
    if len(arguments) == 1:  # a command by its name, in a sentence
        assert arguments[0] in get_command(app).commands
        return
    words, parameters = parsed(arguments)
    known = {"recipe": recipes(), "name": studies()}
    for parameter, names in known.items():
        value = str(parameters.get(parameter) or "")
        if value.islower() and not value.endswith(".toml"):
            assert value in names, f"{words} {value}"


def test_a_wrong_option_would_be_noticed():
    with pytest.raises(Exception, match="--sampels"):
        parsed(["evaluate", "RUN", "--sampels", "5"])


@pytest.mark.parametrize("text", found(r"```toml\n(.*?)```"))
def test_recipes_and_studies_resolve(text, tmp_path):
    tables = tomllib.loads(text)
    if tables.keys() & {"rows", "axes"}:  # of a study, or a part of one
        file = tmp_path / "study.toml"
        file.write_text(tomli_w.dumps({"title": "t", "seeds": [0], "base": "digits", **tables}))
        assert len(Study.load(file).rows) > 0
    else:
        Config.resolve(tables)
