"""Touches the disk in the one way that survives a power cut: write beside, fsync, rename, fsync the folder."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agent.errors import StateError

# What a medium says of bytes that it can no longer read; anything else that a system may say can pass.
DAMAGE = frozenset({errno.EIO, errno.EUCLEAN, errno.EBADMSG})


@contextmanager
def state_at(path: Path) -> Iterator[None]:
    """Turn what the disk refuses into a StateError; `path` is named where the system names none."""
    try:
        yield
    except OSError as error:
        raise StateError(str(error.filename or path), error.strerror or repr(error)) from error


def write_whole(path: Path, raw: bytes, mode: int = 0o640) -> None:
    """Put `raw` at `path` so that a reader sees the old content or the new, never a part."""
    beside = _beside(path)
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(raw)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
    except OSError:
        with suppress(OSError):  # a part of a file must not take the room that a full disk lacks
            beside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def link_to(link: Path, target: str | None) -> None:
    """Make the symbolic link `link` name `target`, or be gone, in one step; a no-op when it already is so."""
    if point(link, target):
        sync_folder(link.parent)


def point(link: Path, target: str | None) -> bool:
    """Do as `link_to`, but leave the folder to be synced by the caller; return whether it has to be."""
    found = str(link.readlink()) if link.is_symlink() else None
    if found == target:
        return False
    if target is None:
        link.unlink()
        return True
    beside = _beside(link)
    beside.unlink(missing_ok=True)
    beside.symlink_to(target)
    beside.replace(link)
    return True


def put_in_place(source: Path, path: Path) -> None:
    """Let `path` be the very file that `source` is, in one step, whatever lay there before; its bytes are brought to the disk first."""
    sync_file(source)
    beside = _beside(path)
    beside.unlink(missing_ok=True)
    os.link(source, beside)
    beside.replace(path)
    beside.unlink(missing_ok=True)  # two names of one file do not replace each other
    sync_folder(path.parent)


def make_folder(folder: Path, mode: int = 0o750) -> None:
    """Make a folder and those above it; one that is there stays as it is, and its name is brought to the disk all the same."""
    if not folder.parent.is_dir():
        make_folder(folder.parent, mode)
    folder.mkdir(mode=mode, exist_ok=True)
    sync_folder(folder.parent)


def sync_tree(folder: Path) -> None:
    """Bring a folder, all folders in it and all their files to the disk itself."""
    for inner in folder.rglob("*"):
        if inner.is_dir():
            sync_folder(inner)
        elif inner.is_file():
            sync_file(inner)
    sync_folder(folder)


def sync_file(path: Path) -> None:
    """Bring a file's bytes to the disk itself."""
    _sync(path, os.O_RDONLY)


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk itself."""
    _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
