"""Touches the two files in which the device notes what the broker has acknowledged: one grows, then the other one takes its place.

Lines are appended and not forced to the disk: they outlive the process, and a power cut costs some of them. Clocks that only grow start
anew with the machine, so each file says in its first line on which start of the machine it was written.
"""

from __future__ import annotations

import os
from pathlib import Path
from zlib import crc32

from agent.adapters import disk
from agent.core.drawers import Letter
from agent.core.said import MAX_BYTES
from contracts.errors import ContractError
from contracts.messages import MAX_MESSAGE_BYTES, REPEAT_S
from contracts.small_files import read_bounded

# Of one file: what is remembered in bytes of payload, the words around it, and a last letter.
MAX_FILE_BYTES = 2 * MAX_BYTES + MAX_MESSAGE_BYTES
MAX_BOOT_LETTERS = 64
NAMES = ("said.0", "said.1")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class SaidFiles:
    """A notebook of two pages; the older one goes when all that it holds is old."""

    def __init__(self, folder: Path, boot_id: Path = BOOT_ID) -> None:
        """Keep them in `folder`, which is made when needed."""
        self._folder = folder
        self._boot = _word(boot_id)
        self._page = -1
        self._began_s = 0.0
        self._size = 0

    def read(self, now_s: float) -> list[tuple[float, Letter]]:
        """Return what was noted, oldest first; `now_s` for what was noted before the machine started. Raise StateError."""
        pages = sorted(page for page in map(self._read_page, NAMES) if page is not None)
        noted, are_all_ours = [], bool(pages)
        for number, boot, lines in pages:
            is_same_start = bool(boot) and boot == self._boot
            are_all_ours = are_all_ours and is_same_start
            found = [(at_s, letter) for at_s, letter in map(_parsed, lines) if letter is not None]
            noted += [(min(at_s, now_s) if is_same_start else now_s, letter) for at_s, letter in found]
            self._page, self._began_s = number, found[0][0] if found else now_s
        with disk.state_at(self._folder):
            if are_all_ours:
                self._size = self._path(self._page).stat().st_size
                self._append(self._path(self._page), b"\n")  # the process before may have ended within a line
            elif noted:
                self._turn(now_s)
                self._append(self._path(self._page), b"".join(_line_of(letter, now_s) for _, letter in noted))
        return noted

    def note(self, letter: Letter, now_s: float) -> None:
        """Add a line; raise StateError."""
        with disk.state_at(self._folder):
            if self._page < 0 or now_s - self._began_s > REPEAT_S or self._size > MAX_BYTES:
                self._turn(now_s)
            self._append(self._path(self._page), _line_of(letter, now_s))

    def _turn(self, now_s: float) -> None:
        """Begin the other page, of which all is older than what has to be remembered, or too much."""
        self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        page = self._page + 1
        path = self._path(page)
        path.unlink(missing_ok=True)
        self._page, self._began_s, self._size = page, now_s, 0
        self._append(path, b"%d %s\n" % (page, self._boot.encode()))

    def _append(self, path: Path, line: bytes) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o640)
        try:
            if os.write(descriptor, line) != len(line):
                raise OSError("no room for a whole line")
        finally:
            os.close(descriptor)
        self._size += len(line)

    def _path(self, page: int) -> Path:
        return self._folder / NAMES[page % len(NAMES)]

    def _read_page(self, name: str) -> tuple[int, str, list[bytes]] | None:
        try:
            first, *lines = read_bounded(self._folder / name, MAX_FILE_BYTES).split(b"\n")
            number, _, boot = first.decode("ascii").partition(" ")
            return int(number), boot, lines
        except (ContractError, OSError, ValueError):
            return None  # it is not there, or was spoilt: what it held may be said twice or be lost, as without it


def _line_of(letter: Letter, at_s: float) -> bytes:
    body = b"%.3f %s %s" % (at_s, letter.leaf.encode(), letter.payload)
    assert b"\n" not in body  # canonical JSON has none
    return b"%08x %s\n" % (crc32(body), body)


def _parsed(line: bytes) -> tuple[float, Letter | None]:
    checksum, _, body = line.partition(b" ")
    if checksum != b"%08x" % crc32(body):
        return 0.0, None
    at_s, leaf, payload = body.split(b" ", 2)
    return float(at_s), Letter(leaf.decode(), payload)


def _word(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()[:MAX_BOOT_LETTERS]
    except (OSError, ValueError):
        return ""
