"""The values of the outbox: letters, the drawers they lie in, and which two drawers become one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

# A drawer that holds so much, or was opened so long ago, takes no more.
DRAWER_BYTES = 64 * 1024
DRAWER_S = 3600.0
# More than this is not read into memory at once.
MAX_PAIR_BYTES = 4 * DRAWER_BYTES
WINDOW_LEAF = "inference"


@dataclass(frozen=True)
class Letter:
    """An encoded message and the device's topic leaf it goes to."""

    leaf: str
    payload: bytes

    @property
    def is_window(self) -> bool:
        """Say whether it can be merged, and is given up before others."""
        return self.leaf == WINDOW_LEAF

    @property
    def size(self) -> int:
        """Return its bytes in a drawer."""
        return len(self.leaf) + len(self.payload)


@dataclass(frozen=True, order=True)
class Label:
    """What a drawer's file is called: one that covers the numbers of others has taken their place."""

    first: int
    last: int
    # How often its windows were merged.
    level: int
    # When it was opened, in seconds that agents of this device have run; of two that became one, the newer one's.
    opened_s: int

    def covers(self, other: Label) -> bool:
        """Say whether this drawer has taken the other one's place."""
        return self != other and self.first <= other.first and other.last <= self.last


@dataclass
class Drawer:
    """Letters that lie together, oldest first."""

    label: Label
    # None while they are only on the disk.
    letters: list[Letter] | None
    # The files that hold them, or held them before they were merged; the latter are to go once the label's own is there.
    files: list[Label] = field(default_factory=list)
    # Whether the label's file holds all of them.
    is_kept: bool = True
    windows: int = 0
    window_bytes: int = 0
    events: int = 0
    event_bytes: int = 0
    # What the file got, those letters too that were sent meanwhile.
    file_bytes: int = 0

    @property
    def size(self) -> int:
        """Return the bytes of its letters."""
        return self.window_bytes + self.event_bytes

    def recount(self, letters: list[Letter]) -> None:
        """Hold just these letters."""
        self.letters = letters
        self.windows = self.window_bytes = self.events = self.event_bytes = 0
        self.count(letters)

    def count(self, letters: Iterable[Letter], sign: int = 1) -> None:
        """Take note of letters that came, or went."""
        for letter in letters:
            if letter.is_window:
                self.windows += sign
                self.window_bytes += sign * letter.size
            else:
                self.events += sign
                self.event_bytes += sign * letter.size


def pair_to_merge(drawers: Sequence[Drawer], *, in_memory: bool) -> tuple[Drawer, Drawer] | None:
    """Return the two neighbours of one level that were merged least often, the oldest of those first; None when no two fit together.

    Neighbours of two levels are merged only when no others are left. With `in_memory`, those alone count that the disk does not have.
    """
    pairs = [
        (older, newer)
        for older, newer in pairwise(drawers)
        if older.size + newer.size <= MAX_PAIR_BYTES and not (in_memory and (older.is_kept or newer.is_kept))
    ]
    return min(pairs, key=lambda pair: _rank(pair[0].label.level, pair[1].label.level), default=None)


def label_of(older: Label, newer: Label) -> Label:
    """Return the label of a drawer that was merged of two."""
    level = max(older.level, newer.level) + (older.level == newer.level)
    return Label(older.first, newer.last, level, newer.opened_s)


def _rank(older: int, newer: int) -> tuple[bool, int]:
    return older != newer, max(older, newer)
