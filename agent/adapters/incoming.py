"""Touches files that are still arriving: a file by digest with room for all of it, and beside it a bit for each chunk that is here."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from agent.adapters import disk
from agent.adapters.arriving import ArrivingFile
from contracts import codec
from contracts.chunks import CHUNK_BYTES, MAX_FILE_BYTES, Bitmap, chunk_count, chunk_length
from contracts.errors import ContractError
from contracts.small_files import read_bounded

MAX_BITMAP_BYTES = MAX_FILE_BYTES // CHUNK_BYTES // 8
# What came within this time may have to come again after a power cut; after the end of a process, nothing has.
SYNC_EVERY_S = 2.0


class Incoming:
    """The folder of partial downloads.

    A bit is set, in place, as soon as its chunk is written. What another process wrote is read again before it counts:
    then it is right, whatever order the disk wrote chunks and bits in before the power went.
    """

    def __init__(self, folder: Path) -> None:
        """Use `folder`, which is made when needed; raise StateError."""
        self._folder = folder
        with disk.state_at(folder):
            disk.make_folder(folder)
        # Files of which this process wrote, or read again, every chunk that is here.
        self._checked: set[str] = set()
        self._open: ArrivingFile | None = None
        self._open_digest = ""
        self._synced_at_s = time.monotonic()

    def path(self, digest: str) -> Path:
        """Return where a file's bytes are collected."""
        return self._folder / digest

    def missing(self, digest: str, size: int) -> Bitmap:
        """Return the chunks that are not here by the bitmap's word; all of them for a file that was never begun."""
        count = chunk_count(size)
        full, path = Bitmap.full(count), self.path(digest)
        try:
            raw = read_bounded(self._bitmap(digest), MAX_BITMAP_BYTES)
        except ContractError:
            return full
        if len(raw) != -(-count // 8) or not path.is_file() or path.stat().st_size != size:
            return full
        return Bitmap(count, full.bits & ~int.from_bytes(raw, "little"))

    def begin(self, digest: str, size: int, chunks: Sequence[str] | None) -> Bitmap:
        """Make room for a file, and return the chunks that are not here; those of an earlier process are checked first."""
        missing = self.missing(digest, size)
        if digest not in self._checked:
            if chunks is not None and missing.bits != Bitmap.full(missing.count).bits:
                missing = self._read_again(digest, size, chunks, missing)
            if len(missing) == missing.count:
                self._make_room(digest, size)
            if chunks is not None:
                self._checked.add(digest)
        return missing

    def write(self, digest: str, index: int, chunk: bytes | memoryview, missing: Bitmap) -> None:
        """Put a checked chunk in its place; `missing` is what is left after it."""
        arriving = self._opened(digest)
        arriving.write(index, chunk, missing)
        if not missing or time.monotonic() - self._synced_at_s > SYNC_EVERY_S:
            arriving.sync()
            self._synced_at_s = time.monotonic()
        if not missing:
            self.close()

    def is_whole(self, digest: str, size: int) -> bool:
        """Say whether a file is here, every byte checked; one that is full but wrong is thrown away."""
        path = self.path(digest)
        if not path.is_file() or self.missing(digest, size):
            return False
        if digest in self._checked:
            return True
        with path.open("rb") as stream:
            is_right = codec.sha256_of_stream(stream) == digest
        if not is_right:
            self.drop(digest)
        return is_right

    def patched(self, digest: str) -> Path:
        """Return where a file is put together from another one."""
        return self._folder / f"{digest}.patched"

    def adopt(self, digest: str, size: int) -> None:
        """Take a file that was put together, and checked, for one that arrived."""
        self.close()
        disk.sync_file(self.patched(digest))
        self.patched(digest).replace(self.path(digest))
        self._mark_whole(digest, size)

    def take(self, digest: str, size: int, source: Path) -> bool:
        """Let a file that lies elsewhere on this disk count as arrived, under a second name; say whether its bytes are right."""
        try:
            with source.open("rb") as stream:
                is_right = codec.sha256_of_stream(stream) == digest
        except OSError:
            return False  # a copy that cannot be read is none
        if not is_right:
            return False
        self.drop(digest)
        os.link(source, self.path(digest))
        self._mark_whole(digest, size)
        return True

    def drop(self, digest: str) -> None:
        """Forget one file."""
        self.close()
        self._checked.discard(digest)
        self._bitmap(digest).unlink(missing_ok=True)
        self.path(digest).unlink(missing_ok=True)

    def clear(self) -> None:
        """Forget every file; what a release needed was linked into it."""
        self.close()
        self._checked.clear()
        for path in self._folder.iterdir():
            path.unlink()

    def sweep(self) -> None:
        """Remove what a process that died was putting together; downloads stay, to go on."""
        for pattern in ("*.patched", ".*.new"):
            for leftover in self._folder.glob(pattern):
                leftover.unlink()

    def _opened(self, digest: str) -> ArrivingFile:
        if self._open is None or self._open_digest != digest:
            self.close()
            self._open = ArrivingFile(self.path(digest), self._bitmap(digest))
            self._open_digest = digest
        return self._open

    def close(self) -> None:
        """Hold nothing open: what is put in the place of a file, or removes it, comes after this."""
        opened, self._open = self._open, None
        if opened is not None:
            opened.close()

    def _mark(self, digest: str, indexes: Iterable[int], missing: Bitmap) -> None:
        with self._bitmap(digest).open("r+b", buffering=0) as stream:
            for place in {index // 8 for index in indexes}:
                bits = range(8 * place, min(8 * place + 8, missing.count))
                byte = sum(1 << index % 8 for index in bits if index not in missing)
                os.pwrite(stream.fileno(), bytes([byte]), place)

    def _mark_whole(self, digest: str, size: int) -> None:
        count = chunk_count(size)
        disk.write_whole(self._bitmap(digest), Bitmap.full(count).bits.to_bytes(-(-count // 8), "little"))
        self._checked.add(digest)

    def _read_again(self, digest: str, size: int, chunks: Sequence[str], missing: Bitmap) -> Bitmap:
        wrong = []
        with self.path(digest).open("rb", buffering=0) as stream:
            for index in range(missing.count):
                if index not in missing:
                    chunk = os.pread(stream.fileno(), chunk_length(size, index), index * CHUNK_BYTES)
                    if codec.sha256_of(chunk) != chunks[index]:
                        wrong.append(index)
        missing = Bitmap(missing.count, missing.bits | Bitmap.of(missing.count, wrong).bits)
        self._mark(digest, wrong, missing)
        return missing

    def _make_room(self, digest: str, size: int) -> None:
        self.close()
        for path, length in ((self.path(digest), size), (self._bitmap(digest), -(-chunk_count(size) // 8))):
            path.unlink(missing_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o640)
            try:
                if length:
                    os.posix_fallocate(descriptor, 0, length)
            finally:
                os.close(descriptor)
        disk.sync_folder(self._folder)

    def _bitmap(self, digest: str) -> Path:
        return self._folder / f"{digest}.bitmap"
