"""Touches one file that is arriving: its bytes, and a bit for each chunk of them that is here, both held open from chunk to chunk."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

from contracts.chunks import CHUNK_BYTES, Bitmap

# The disk begins with so many chunks in a row while the next come: little is left to wait for at the end.
BEGIN_CHUNKS = 16


class ArrivingFile:
    """A file with room for all of it. Whatever closes it waits for the thread that writes; OSError comes through."""

    def __init__(self, path: Path, bitmap: Path) -> None:
        """Open both, which exist."""
        self.path = path
        self._bytes = os.open(path, os.O_WRONLY | os.O_NOFOLLOW)
        try:
            self._bits = os.open(bitmap, os.O_WRONLY | os.O_NOFOLLOW)
        except OSError:
            os.close(self._bytes)
            raise
        self._turn = threading.Lock()
        self._is_open = True
        # What was written in a row, and the disk has not been told to begin with.
        self._run = range(0)

    def write(self, index: int, chunk: bytes | memoryview, missing: Bitmap) -> None:
        """Put a checked chunk in its place, then its bit; `missing` is what is left after it."""
        with self._turn:
            if not self._is_open:
                raise FileNotFoundError(f"{self.path} was given up while it arrived")
            _write_at(self._bytes, chunk, index * CHUNK_BYTES)
            place = index // 8
            valid = (1 << min(8, missing.count - 8 * place)) - 1
            _write_at(self._bits, bytes((~missing.bits >> 8 * place & valid,)), place)
            self._run = range(self._run.start, index + 1) if index == self._run.stop else range(index, index + 1)
            if len(self._run) == BEGIN_CHUNKS:
                self._begin_run()

    def sync(self) -> None:
        """Wait until the disk itself has bytes and bits."""
        with self._turn:
            if self._is_open:
                os.fsync(self._bytes)
                os.fsync(self._bits)

    def close(self) -> None:
        """Let go; closing again changes nothing."""
        with self._turn:
            if self._is_open:
                self._is_open = False
                os.close(self._bytes)
                os.close(self._bits)

    def _begin_run(self) -> None:
        # Pages that are not written yet cannot be dropped: all this advice does to them is to have them written.
        with contextlib.suppress(OSError):  # a disk that takes no advice is as good
            os.posix_fadvise(self._bytes, self._run.start * CHUNK_BYTES, len(self._run) * CHUNK_BYTES, os.POSIX_FADV_DONTNEED)
        self._run = range(self._run.stop, self._run.stop)


def _write_at(descriptor: int, raw: bytes | memoryview, place: int) -> None:
    """Write all of it: the kernel may take a part, and say at the next call why."""
    rest = memoryview(raw)
    while rest:
        count = os.pwrite(descriptor, rest, place)
        rest, place = rest[count:], place + count
