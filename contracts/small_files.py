"""Reads a small file, and never more of it than its reader said."""

from __future__ import annotations

from pathlib import Path

from contracts.errors import MissingFileError, TooLargeError


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """Read a small file; raise MissingFileError or TooLargeError."""
    if not path.is_file():
        raise MissingFileError(str(path))
    with path.open("rb") as stream:
        raw = stream.read(max_bytes + 1)
    if len(raw) > max_bytes:
        raise TooLargeError(str(path), max_bytes, path.stat().st_size)
    return raw
