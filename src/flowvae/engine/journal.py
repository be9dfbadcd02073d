"""The journal of a run: one JSON object a line, appended; and the same records in memory."""

import json
import math
import os
from pathlib import Path
from typing import IO, Any


class Journal:
    """Records of kind "train", "validation" and "event"; on file too when ``path`` is given.

    ``length`` is the number of bytes on file up to now: a checkpoint keeps it, and a resumed run cuts the file there,
    so that no step is told twice.
    """

    def __init__(self, path: Path | None = None, length: int = 0) -> None:
        self.records: list[dict[str, Any]] = []
        self.length = length
        self._file: IO[bytes] | None = None
        if path is not None:
            self._file = path.open("ab")
            self._file.truncate(length)
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
    """The records of a journal; a last line cut short by a kill is left out."""
    text = Path(path).read_text()
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
