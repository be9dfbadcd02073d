"""Where, when and by what a result was measured."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from flowvae.engine.environment import processor

PACKAGES = ("flowvae", "pythae", "zuko", "nflows", "normflows", "pyro-ppl", "torch", "numpy")


def provenance(command: str, threads: int) -> dict[str, Any]:
    """The record that goes with a result; ``load`` is the machine's load average before it began."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "commit": _git("rev-parse", "HEAD"),
        "changed_files": len((_git("status", "--porcelain", "--untracked-files=no") or "").splitlines()),
        "machine": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            "system": platform.platform(),
            "load": round(os.getloadavg()[0], 2),
        },
        "threads": threads,
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
    }


def _git(*arguments: str) -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
