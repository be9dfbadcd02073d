"""The commit of a run: that of the package's own sources, and of no repository that happens to surround them."""

import subprocess
from pathlib import Path

import pytest

from flowvae.engine import environment


def git(folder: Path, *arguments: str) -> str:
    own = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    done = subprocess.run(["git", "-C", str(folder), *own, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_commit_is_told_where_git_tracks_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "venv" / "flowvae"
    file = package / "engine" / "environment.py"
    file.parent.mkdir(parents=True)
    file.write_text("first")
    (tmp_path / "notes.txt").write_text("a project of the user")
    monkeypatch.setattr(environment, "PACKAGE", package)
    monkeypatch.setattr(environment, "__file__", str(file))
    unknown = {"commit": None, "changed_files": None}
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert environment.source() == unknown
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "notes.txt")
    git(tmp_path, "commit", "-qm", "theirs")
    assert environment.source() == unknown, "installed inside another project"
    git(tmp_path, "add", "venv")
    git(tmp_path, "commit", "-qm", "ours")
    assert environment.source() == {"commit": git(tmp_path, "rev-parse", "HEAD"), "changed_files": 0}
    (tmp_path / "notes.txt").write_text("results and notes change no figure")
    assert environment.source()["changed_files"] == 0
    file.write_text("second")
    assert environment.source()["changed_files"] == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["/venv/lib/flowvae/__main__.py", "train", "my recipe.toml"], "flowvae train 'my recipe.toml'"),
        (["/venv/bin/flowvae", "demo"], "flowvae demo"),
        (["study.py"], "study.py"),
    ],
)
def test_the_command_can_be_run_again(arguments: list[str], told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", arguments)
    assert environment.command() == told
