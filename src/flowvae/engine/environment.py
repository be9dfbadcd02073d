"""Where a run was made: versions, machine, command, commit, data."""

import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from flowvae import registry
from flowvae.data import Data
from flowvae.schema import Schema

PACKAGE = Path(__file__).parents[1]
PACKAGES = ("flowvae", "torch", "lightning-fabric", "numpy", "safetensors")


def environment(data: Data, seed: int) -> dict[str, Any]:
    """The record that a run keeps in environment.json."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command(),
        **({"plugins": [str(path) for path in registry.plugins()]} if registry.plugins() else {}),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        "machine": {
            "system": platform.platform(),
            "processor": processor(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
        **source(),
        "seed": seed,
        "data": {
            "name": data.name,
            "digest": data.digest,
            "sizes": {part: len(getattr(data, part)) for part in ("train", "validation", "test")},
            "binarise": data.train.binarise,
            "event_shape": list(data.event_shape),
            **({"columns": list(data.columns)} if data.columns else {}),
            **({"schema": data.event_shape.table()} if isinstance(data.event_shape, Schema) else {}),
            "support": data.support,
        },
    }


def command() -> str:
    """The command line of this process, as one would write it."""
    name = Path(sys.argv[0]).name
    return shlex.join(["flowvae" if name == "__main__.py" else name, *sys.argv[1:]])


def processor() -> str:
    """The processor's model, as the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def source() -> dict[str, Any]:
    """The commit that the package is run from, and how many of its files differ from it: None where git has it not.

    A repository that merely surrounds the package, as around an environment in another project, says nothing.
    """
    if _git("ls-files", "--error-unmatch", Path(__file__).relative_to(PACKAGE).as_posix()) is None:
        return {"commit": None, "changed_files": None}
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".")
    return {
        "commit": _git("rev-parse", "HEAD"),
        "changed_files": None if changed is None else len(changed.splitlines()),
    }


def _git(*arguments: str) -> str | None:
    """What git says in the folder of the package; None where it fails, or is not there."""
    command = ["git", "-C", str(PACKAGE), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
