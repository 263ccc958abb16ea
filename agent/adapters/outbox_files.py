"""Touches the outbox's folder: one file for each drawer, a line for each letter, its checksum first.

Files that only grow, and go as a whole, are what flash memory bears best, and what a torn write can spoil the least: one line.
A database would write each letter twice and its pages many times, and would cost the control process a library.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from zlib import crc32

from pydantic import TypeAdapter, ValidationError

from agent.adapters import disk
from agent.core.drawers import MAX_PAIR_BYTES, Label, Letter
from agent.core.shelf import Dropped
from agent.errors import StateError
from contracts.errors import ContractError
from contracts.messages import MAX_MESSAGE_BYTES
from contracts.small_files import read_bounded

# A drawer takes a last letter when it is almost full; checksums and spaces come on top.
MAX_FILE_BYTES = 2 * (MAX_PAIR_BYTES + MAX_MESSAGE_BYTES)
MAX_COUNTS_BYTES = 1024
_NAME = re.compile(r"(\d{10})-(\d{10})-(\d{2})-(\d{10})\.letters")
_DROPPED = TypeAdapter(Dropped)


class OutboxFiles:
    """The drawers on the disk; used from the event loop, except for `sync`."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`, which is made when needed."""
        self._folder = folder
        self._counts = folder / "dropped.json"
        # The one file that grows.
        self._growing: tuple[Label, int] | None = None

    def labels(self) -> tuple[Label, ...]:
        """Return the drawers that are there; what was half written is removed."""
        with self._translated(self._folder):
            self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            for leftover in self._folder.glob(".*.new"):
                leftover.unlink()
            matches = (_NAME.fullmatch(path.name) for path in self._folder.iterdir())
            return tuple(Label(*map(int, match.groups())) for match in matches if match)

    def read(self, label: Label) -> list[Letter]:
        """Return the letters whose lines are whole; raise StateError."""
        path = self._path(label)
        try:
            raw = read_bounded(path, MAX_FILE_BYTES)
        except (ContractError, OSError) as error:
            raise StateError(str(path), str(error)) from error
        return [letter for line in raw.split(b"\n") if (letter := _letter_of(line)) is not None]

    def append(self, label: Label, letter: Letter) -> None:
        """Add a line, which this process's end cannot undo; raise StateError."""
        line = _line_of(letter)
        with self._translated(self._path(label)):
            if os.write(self._descriptor(label), line) != len(line):
                raise OSError("no room for a whole line")

    def write(self, label: Label, letters: Sequence[Letter]) -> None:
        """Replace a drawer's file, whole or not at all, and wait for the disk; raise StateError."""
        self._close(label)
        with self._translated(self._path(label)):
            disk.write_whole(self._path(label), b"".join(map(_line_of, letters)))

    def empty(self, label: Label) -> None:
        """Leave no line; a file whose lines never reached the disk costs it nothing. Raise StateError."""
        with self._translated(self._path(label)):
            os.ftruncate(self._descriptor(label), 0)

    def remove(self, label: Label) -> None:
        """Remove a file that may not be there; raise StateError."""
        self._close(label)
        with self._translated(self._path(label)):
            self._path(label).unlink(missing_ok=True)

    def sync(self, labels: Iterable[Label]) -> None:
        """Bring files to the disk itself, those that are gone excepted; on any thread; raise StateError."""
        with self._translated(self._folder):
            for label in labels:
                _sync_if_there(self._path(label))
            disk.sync_folder(self._folder)

    def dropped(self) -> Dropped:
        """Return what was counted last; nothing when that cannot be read."""
        try:
            return _DROPPED.validate_json(read_bounded(self._counts, MAX_COUNTS_BYTES))
        except (ContractError, ValidationError, OSError):
            return Dropped()

    def count(self, dropped: Dropped) -> None:
        """Remember what was given up; raise StateError."""
        with self._translated(self._counts):
            disk.write_whole(self._counts, _DROPPED.dump_json(dropped))

    def close(self) -> None:
        """Let go of the file that grows."""
        if self._growing is not None:
            os.close(self._growing[1])
            self._growing = None

    def _descriptor(self, label: Label) -> int:
        if self._growing is None or self._growing[0] != label:
            self.close()
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
            self._growing = label, os.open(self._path(label), flags, 0o640)
        return self._growing[1]

    def _close(self, label: Label) -> None:
        if self._growing is not None and self._growing[0] == label:
            self.close()

    def _path(self, label: Label) -> Path:
        return self._folder / f"{label.first:010d}-{label.last:010d}-{label.level:02d}-{label.opened_s:010d}.letters"

    @contextmanager
    def _translated(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StateError(str(path), error.strerror or str(error)) from error


def _sync_if_there(path: Path) -> None:
    with suppress(FileNotFoundError):  # sent and removed just now
        disk.sync_file(path)


def _line_of(letter: Letter) -> bytes:
    body = letter.leaf.encode() + b" " + letter.payload
    assert b"\n" not in body  # canonical JSON has none
    return b"%08x %s\n" % (crc32(body), body)


def _letter_of(line: bytes) -> Letter | None:
    checksum, _, body = line.partition(b" ")
    if checksum != b"%08x" % crc32(body):
        return None
    leaf, _, payload = body.partition(b" ")
    return Letter(leaf.decode(), payload)
