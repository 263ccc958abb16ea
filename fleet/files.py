"""Writes small files so that a crash leaves the old or the new one, and secrets so that only their owner reads them."""

from __future__ import annotations

import os
from pathlib import Path

from fleet.errors.server import FolderNotEmptyError

SECRET_MODE = 0o600
PUBLIC_MODE = 0o644


def write_whole(path: Path, content: bytes, mode: int = PUBLIC_MODE) -> None:
    """Replace a file: beside, fsync, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(path)


def write_secret(path: Path, content: bytes) -> None:
    """Replace a file that only its owner may read."""
    write_whole(path, content, SECRET_MODE)


def check_empty(folder: Path) -> None:
    """Raise FolderNotEmptyError unless `folder` is missing or empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FolderNotEmptyError(str(folder))
