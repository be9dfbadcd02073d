"""The journal of a run: one JSON object a line, appended; and the same records in memory."""

import json
import math
import os
from pathlib import Path
from typing import IO, Any

from flowvae.errors import InputError


class Journal:
    """Records of kind "train", "validation" and "event"; on file too when ``path`` is given.

    ``length`` is the number of bytes on file up to now: a checkpoint keeps it, and a resumed run cuts the file there,
    so that no step is told twice. A file that has been cut short meanwhile goes on after its last whole line.
    """

    def __init__(self, path: Path | None = None, length: int = 0) -> None:
        self.records: list[dict[str, Any]] = []
        self.length = length
        self._file: IO[bytes] | None = None
        if path is not None:
            self._file = path.open("ab")
            self.length = path.read_bytes()[:length].rfind(b"\n") + 1
            self._file.truncate(self.length)
            self.records = read_journal(path)

    def write(self, kind: str, **entries: Any) -> None:
        """Append one record; a number that is not finite becomes null, as JSON has none."""
        record = {"kind": kind} | {name: _finite(value) for name, value in entries.items()}
        self.records.append(record)
        if self._file:
            line = json.dumps(record, allow_nan=False).encode() + b"\n"
            self._file.write(line)
            self._file.flush()
            self.length += len(line)

    def sync(self) -> None:
        """Return once everything written is on the disk."""
        if self._file:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file; the records stay."""
        if self._file:
            self._file.close()
            self._file = None


def read_journal(path: str | Path) -> list[dict[str, Any]]:
    """The records of a journal; a last line cut short by a kill is left out, and `InputError` names a damaged one."""
    lines = Path(path).read_bytes().split(b"\n")[:-1]
    return [_record(line, f"line {number} of {str(path)!r}") for number, line in enumerate(lines, 1)]


def _record(line: bytes, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:
        record = None
    if not isinstance(record, dict) or "kind" not in record:
        said = line.decode(errors="replace")
        shown = said if len(said) <= 40 else said[:40] + "..."
        raise InputError(
            f"expected a record in {where}; got {shown!r}: restore the file from a copy, or cut the line out"
        )
    return record


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
