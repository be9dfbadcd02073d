"""Where a run was made: versions, machine, command, commit, data."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from flowvae.data import Data
from flowvae.schema import Schema

PACKAGES = ("flowvae", "torch", "lightning-fabric", "numpy", "safetensors")


def environment(data: Data, seed: int) -> dict[str, Any]:
    """The record that a run keeps in environment.json."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        "machine": {
            "system": platform.platform(),
            "processor": processor(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
        "commit": commit(),
        "seed": seed,
        "data": {
            "name": data.name,
            "digest": data.digest,
            "sizes": {part: len(getattr(data, part)) for part in ("train", "validation", "test")},
            "binarise": data.train.binarise,
            "event_shape": list(data.event_shape),
            **({"schema": data.event_shape.table()} if isinstance(data.event_shape, Schema) else {}),
            "support": data.support,
        },
    }


def processor() -> str:
    """The processor's model, as the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def commit() -> str | None:
    """The commit of the source tree that the package is run from; None outside one."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
