"""Imports point one way, siblings do not import siblings, and importing changes nothing."""

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "flowvae"

ORDER = [
    {"errors", "precision"},
    {"files"},
    {"registry", "overrides", "report", "schema"},
    {"conditional", "transforms", "nn", "data"},
    {"distributions"},
    {"flows"},
    {"priors", "posteriors", "likelihoods", "encoders", "decoders"},
    {"latents"},
    {"model"},
    {"objectives", "engine"},
    {"evaluation"},
    {"measures"},
    {"config"},
    {"study", "runs"},
    {"results"},
    {"jobs"},
    {"cli"},
    {"__init__", "__main__"},
]
"""The rooms of the package from the ground up: a room imports from those on lower floors only."""

BY_NAME = {"flows", "priors", "posteriors", "likelihoods", "encoders", "decoders", "latents"}
"""Rooms whose component files nobody imports: the registry finds them, so that a component is one file."""

FLOOR = {room: floor for floor, rooms in enumerate(ORDER) for room in rooms}


def violations(path: Path, package: Path) -> list[str]:
    """Every import of a file that breaks a rule, one sentence each."""
    room = path.relative_to(package).with_suffix("").parts[0]
    if room not in FLOOR:
        return [f"{path.name}: the room {room!r} has no floor in ORDER"]
    found = []
    for there, *file in imports(path, package):
        if there != room and FLOOR.get(there, len(ORDER)) >= FLOOR[room]:
            found.append(f"{room}/{path.name} imports {there}, which is not below it")
        if there in BY_NAME and file and _registers(package / there / f"{file[0]}.py"):
            found.append(f"{room}/{path.name} imports the component {there}/{file[0]}.py: build it by its name")
    return found


def imports(path: Path, package: Path) -> Iterator[tuple[str, ...]]:
    """The modules of the package that a file imports, anywhere in it, as (room,) or (room, file)."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            top, *parts = name.split(".")
            if top != package.name:
                continue
            if not parts or not ((package / parts[0]).is_dir() or (package / f"{parts[0]}.py").is_file()):
                parts = ["__init__"]  # a name of the package itself
            if len(parts) > 1 and not (package / parts[0] / f"{parts[1]}.py").is_file():
                parts = parts[:1]
            yield tuple(parts[:2])


def _registers(path: Path) -> bool:
    return path.is_file() and "\n@register(" in path.read_text()


def test_imports_point_one_way() -> None:
    assert [broken for path in sorted(PACKAGE.rglob("*.py")) for broken in violations(path, PACKAGE)] == []


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("transforms/new.py", "from flowvae.flows import Flow"),
        ("distributions/new.py", "def late():\n    from flowvae.model import VAE"),
        ("data/new.py", "import flowvae.model"),
        ("report/new.py", "from flowvae import registry"),
        ("priors/new.py", "from flowvae.posteriors import Posterior"),
        ("latents/new.py", "from flowvae.flows.iaf import IAF"),
        ("flows/new.py", "from flowvae.flows.planar import Planar"),
        ("engine/new.py", "from flowvae import VAE"),
        ("attic/new.py", ""),
    ],
)
def test_the_rule_sees_what_breaks_it(file: str, line: str, tmp_path: Path) -> None:
    package = tmp_path / "flowvae"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    new = package / file
    new.parent.mkdir(exist_ok=True)
    new.write_text(line)
    assert len(violations(new, package)) == 1


QUIET = """
import importlib, logging, os, pkgutil, signal, sys
import numpy, torch

def state():
    return {
        "torch's generator": torch.random.get_rng_state().tolist(),
        "numpy's generator": str(numpy.random.get_state()),
        "default dtype": torch.get_default_dtype(),
        "threads": torch.get_num_threads(),
        "checks of distributions": torch.distributions.Distribution._validate_args,
        "gradients": torch.is_grad_enabled(),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "SIGINT": signal.getsignal(signal.SIGINT),
        "SIGTERM": signal.getsignal(signal.SIGTERM),
        "log handlers": list(logging.getLogger().handlers),
        "hook": sys.excepthook,
    }

before = state()
import flowvae
for module in pkgutil.walk_packages(flowvae.__path__, "flowvae."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
after = state()
sys.exit(", ".join(name for name in before if before[name] != after[name]) or 0)
"""


def test_importing_everything_changes_nothing(tmp_path: Path) -> None:
    """In a fresh process: no seed, no flag, no handler, no variable, no file, no word."""
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", QUIET], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert (process.returncode, process.stdout, process.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []
