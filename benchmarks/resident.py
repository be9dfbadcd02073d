"""Memory that this process holds, as Linux counts it."""

from pathlib import Path

STATUS = Path("/proc/self/status")


def resident() -> int:
    """Bytes in memory now."""
    return _kibibytes("VmRSS") * 1024


def peak() -> int:
    """The most bytes that were in memory since `reset_peak`."""
    return _kibibytes("VmHWM") * 1024


def reset_peak() -> None:
    """Begin the peak at what is in memory now."""
    Path("/proc/self/clear_refs").write_text("5")


def _kibibytes(name: str) -> int:
    return next(int(line.split()[1]) for line in STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
