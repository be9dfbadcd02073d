"""What the package needs, it declares; what it declares, it needs; and what is declared is pinned."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def normal(name):
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", name)[0]).lower()


def imported(folder):
    """The distributions that the modules of ``folder`` import, within functions too."""
    modules = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules.add(node.module.split(".")[0])
    home = packages_distributions()
    return {normal(home.get(name, [name])[0]) for name in modules - {"flowvae", *sys.stdlib_module_names}}


def test_dependencies_are_what_the_package_imports():
    assert imported(ROOT / "src") == {normal(name) for name in PROJECT["dependencies"]}


@pytest.mark.parametrize("group", ["dependencies", *PROJECT["optional-dependencies"]])
def test_every_dependency_is_pinned(group):
    declared = PROJECT["dependencies"] if group == "dependencies" else PROJECT["optional-dependencies"][group]
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {normal(line) for line in pins if "==" in line and not line.startswith("#")}
    assert {normal(name) for name in declared} <= pinned


def test_a_build_of_torch_is_not_pinned():
    """A local suffix such as +cpu would refuse every other build, and be found on no machine but one."""
    assert "+" not in re.search(r"^torch==.*$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)[0]


@pytest.mark.skipif(not shutil.which("make"), reason="no make")
def test_an_environment_that_could_not_be_made_is_not_taken_for_one(tmp_path):
    """As where Python lacks ensurepip: venv writes its file first, and fails then."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\nif [ "$2" = venv ]; then mkdir -p "$3"; touch "$3/pyvenv.cfg"; exit 1; fi\n')
    python.chmod(0o755)
    made = subprocess.run(["make", "demo", f"PYTHON={python}"], cwd=tmp_path, capture_output=True, text=True)
    assert made.returncode == 2
    assert f"{python} -m venv" in made.stdout
    assert not (tmp_path / ".venv").exists()
