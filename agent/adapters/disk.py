"""Touches the disk in the one way that survives a power cut: write beside, fsync, rename, fsync the folder."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, raw: bytes, mode: int = 0o640) -> None:
    """Put `raw` at `path` so that a reader sees the old content or the new, never a part."""
    beside = path.with_name(f".{path.name}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(raw)
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(path)
    sync_folder(path.parent)


def link_to(link: Path, target: str | None) -> None:
    """Make the symbolic link `link` name `target`, or be gone, in one step; a no-op when it already is so."""
    found = str(link.readlink()) if link.is_symlink() else None
    if found == target:
        return
    if target is None:
        link.unlink()
    else:
        beside = link.with_name(f".{link.name}.new")
        beside.unlink(missing_ok=True)
        beside.symlink_to(target)
        beside.replace(link)
    sync_folder(link.parent)


def sync_file(path: Path) -> None:
    """Bring a file's bytes to the disk itself."""
    _sync(path, os.O_RDONLY)


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk itself."""
    _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
