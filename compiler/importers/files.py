"""Reads a model's file whole, within a limit."""

from __future__ import annotations

from pathlib import Path

from compiler.errors import ModelError


def read_file(file: Path, expected: str, max_bytes: int) -> bytes:
    """Return a file's content; raise ModelError when it is missing, too large or cannot be read."""
    if not file.is_file():
        raise ModelError(str(file), "file", expected, "no such file")
    if file.stat().st_size > max_bytes:
        raise ModelError(str(file), "size", f"at most {max_bytes} bytes", str(file.stat().st_size))
    try:
        return file.read_bytes()
    except OSError as error:
        raise ModelError(str(file), "file", "one that can be read", str(error)) from error
