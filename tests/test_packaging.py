"""What the package needs, it declares; what it declares, it needs; and what is declared is pinned."""

import ast
import re
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
