"""Touches files that are still arriving: a sparse file by digest, and beside it the bitmap of chunks not here yet."""

from __future__ import annotations

import os
from pathlib import Path

from agent.adapters import disk
from contracts import codec
from contracts.bundle import read_bounded
from contracts.chunks import CHUNK_BYTES, Bitmap, chunk_count
from contracts.errors import ContractError

MAX_BITMAP_BYTES = 1 << 17
# How many chunks may have to come again after a power cut.
SYNC_EVERY = 16


class Incoming:
    """The folder of partial downloads."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`, which is made when needed."""
        self._folder = folder
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        self._unsynced = 0

    def path(self, digest: str) -> Path:
        """Return where a file's bytes are collected."""
        return self._folder / digest

    def missing(self, digest: str, size: int) -> Bitmap:
        """Return the chunks that are not here; all of them for a file that was never begun or whose bitmap is damaged."""
        count = chunk_count(size)
        path = self.path(digest)
        try:
            missing = Bitmap.from_hex(count, read_bounded(self._bitmap(digest), MAX_BITMAP_BYTES).decode("ascii", "replace"))
        except ContractError:
            return self._begin(path, size, count)
        return missing if path.is_file() and path.stat().st_size == size else self._begin(path, size, count)

    def write(self, digest: str, index: int, chunk: bytes, missing: Bitmap) -> None:
        """Put a checked chunk in its place; `missing` is what is left after it."""
        with self.path(digest).open("r+b") as stream:
            stream.seek(index * CHUNK_BYTES)
            stream.write(chunk)
        self._unsynced += 1
        if self._unsynced >= SYNC_EVERY or not missing:
            self.sync(digest, missing)

    def sync(self, digest: str, missing: Bitmap) -> None:
        """Bring data, and then the bitmap that vouches for it, to the disk."""
        disk.sync_file(self.path(digest))
        disk.write_whole(self._bitmap(digest), missing.to_hex().encode())
        self._unsynced = 0

    def is_whole(self, digest: str, size: int) -> bool:
        """Say whether a file is here, by its digest; one that is full but wrong is thrown away."""
        path = self.path(digest)
        if not path.is_file() or self.missing(digest, size):
            return False
        with path.open("rb") as stream:
            is_right = codec.sha256_of_stream(stream) == digest
        if not is_right:
            self.drop(digest)
        return is_right

    def patched(self, digest: str) -> Path:
        """Return where a file is put together from another one."""
        return self._folder / f"{digest}.patched"

    def adopt(self, digest: str, size: int) -> None:
        """Take a file that was put together for one that arrived."""
        disk.sync_file(self.patched(digest))
        self.patched(digest).replace(self.path(digest))
        self.sync(digest, Bitmap(chunk_count(size), 0))

    def drop(self, digest: str) -> None:
        """Forget one file."""
        self.path(digest).unlink(missing_ok=True)
        self._bitmap(digest).unlink(missing_ok=True)

    def clear(self) -> None:
        """Forget every file; what a release needed was linked into it."""
        for path in self._folder.iterdir():
            path.unlink()

    def _begin(self, path: Path, size: int, count: int) -> Bitmap:
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o640)
        try:
            os.ftruncate(descriptor, size)
        finally:
            os.close(descriptor)
        missing = Bitmap.full(count)
        self.sync(path.name, missing)
        return missing

    def _bitmap(self, digest: str) -> Path:
        return self._folder / f"{digest}.bitmap"
