"""What costs nothing stays cheap, and every command explains itself."""

import subprocess
import sys
from pathlib import Path

import pytest

from flowvae.cli import main
from tests.cli.conftest import Command, environment

COMMANDS = (
    "demo", "list", "show", "check", "train", "bench", "evaluate", "sample", "reconstruct", "encode", "score",
    "interpolate", "optimise", "structure", "study", "report",
)  # fmt: skip
HEAVY = ("torch", "matplotlib", "sklearn", "pydantic", "lightning_fabric")


def imported(*arguments: str, cwd: Path) -> set[str]:
    """The packages that a Python process imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments], cwd=cwd, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return {line.rsplit("|", 1)[1].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line}


def test_help_lists_every_command_and_imports_nothing_heavy(tmp_path: Path) -> None:
    assert not imported("-m", "flowvae", "--help", cwd=tmp_path) & set(HEAVY)


def test_the_package_imports_nothing_heavy(tmp_path: Path) -> None:
    assert not imported("-c", "import flowvae", cwd=tmp_path) & {*HEAVY, "typer", "numpy"}


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    listed = [
        line.split()[0] for line in capsys.readouterr().out.partition("Commands:")[2].splitlines() if line.strip()
    ]
    assert sorted(listed) == sorted(COMMANDS)


@pytest.mark.parametrize(
    "arguments", [["--help"], [], *([name, "-h"] for name in COMMANDS), ["study"], ["study", "run", "-h"]]
)
def test_every_command_explains_itself(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    assert "Usage: flowvae" in capsys.readouterr().out


def test_version(command: Command) -> None:
    from importlib.metadata import version

    assert command("--version").stdout == f"flowvae {version('flowvae')}\n"
