"""Reads a model's file whole, within a limit, and tells the formats apart."""

from __future__ import annotations

from pathlib import Path

from compiler.errors import ModelError

# LiteRT's schema.fbs: the file identifier of every version 3 file, from its fifth byte on.
TFLITE_IDENTIFIER = b"TFL3"


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


def is_tflite(file: Path) -> bool:
    """Say whether a file is TensorFlow Lite's, by its name or its first bytes."""
    if file.suffix.lower() == ".tflite":
        return True
    try:
        with file.open("rb") as stream:
            return stream.read(8)[4:] == TFLITE_IDENTIFIER
    except OSError:
        return False  # the importer says what is wrong with it
