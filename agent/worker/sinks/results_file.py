"""Touches a file of results, one line of JSON each, and the one before it; together they stay within their bytes."""

from __future__ import annotations

import os
from pathlib import Path

NEWLINE = b"\n"


class ResultsFile:
    """`results.jsonl`, which becomes `results.jsonl.1` when it is half of what both may take."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        """Write to `path`, whose folder is made at the first line."""
        self._path = path
        self._max_bytes = max_bytes // 2

    def append(self, line: bytes) -> None:
        """Write a line whole; raise OSError."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        size = self._size()
        if size and size + len(line) + 2 > self._max_bytes:
            self._path.replace(self._path.with_name(self._path.name + ".1"))
        # Pictures show people, and so does what is said of them.
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, (b"" if _ends_well(descriptor) else NEWLINE) + line + NEWLINE)
        finally:
            os.close(descriptor)

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0


def _ends_well(descriptor: int) -> bool:
    """Say whether the next line begins a line; a power cut may have left half of one."""
    size = os.fstat(descriptor).st_size
    return size == 0 or os.pread(descriptor, 1, size - 1) == NEWLINE
