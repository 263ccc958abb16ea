"""Decides what a device says again after it lost its link: the broker may have died, and with it what it acknowledged last.

What was said outlives the agent's process too, for a broker may die while it is replaced; and what was acknowledged is not sent once more
only because the process ended before its letter was taken out of the outbox.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Protocol

from agent.core.drawers import Letter
from agent.errors import StateError
from contracts.messages import REPEAT_S

# More than this is not remembered, in bytes of payload.
MAX_BYTES = 1 << 20


class Notebook(Protocol):
    """Where it is noted for the process after this one."""

    def read(self, now_s: float) -> Sequence[tuple[float, Letter]]:
        """Return what was noted, oldest first, with when that was; `now_s` where that cannot be told. Raise StateError."""

    def note(self, letter: Letter, now_s: float) -> None:
        """Note one more; raise StateError."""


class Said:
    """The letters that were acknowledged within `REPEAT_S` before now, or before the link was lost."""

    def __init__(self, notebook: Notebook | None = None, now_s: float = 0.0) -> None:
        """Take up what the process before said; without a notebook, nothing was said."""
        # Why it is kept in memory only.
        self.trouble = ""
        self._notebook = notebook
        self._letters: deque[tuple[float, Letter]] = deque()
        # So many of them, the oldest, are to be said again.
        self._owed = 0
        # What the process before said: its outbox may hold some of it still.
        self._from_before: set[Letter] = set()
        if notebook is not None:
            self._take_up(notebook, now_s)

    @property
    def letters(self) -> list[Letter]:
        """Return them in order."""
        return [letter for _, letter in self._letters]

    def first_owed(self) -> Letter | None:
        """Return the oldest one that is to be said again; it stays so until it is added anew."""
        return self._letters[0][1] if self._owed else None

    def is_known_from_before(self, letter: Letter) -> bool:
        """Say whether the process before had this letter acknowledged; asked of letters in the order in which they are sent."""
        is_known = letter in self._from_before
        if not is_known:
            self._from_before = set()  # what comes after it was not sent either
        return is_known

    def add(self, letter: Letter, now_s: float) -> None:
        """Remember that a letter was acknowledged now, in monotonic seconds, be it for the first time or again."""
        self.drop(letter)
        self._letters.append((now_s, letter))
        self.forget(now_s)
        if self._notebook is not None:
            try:
                self._notebook.note(letter, now_s)
            except StateError as error:
                self.trouble = str(error)
            else:
                self.trouble = ""

    def drop(self, letter: Letter) -> None:
        """Owe it no more, if it was said before at all: it is said anew, or refused for good."""
        place = next((place for place, (_, each) in enumerate(self._letters) if each is letter), None)
        if place is not None:
            del self._letters[place]
            self._owed -= place < self._owed

    def lose(self, now_s: float) -> None:
        """Owe it all again: the link is lost."""
        self.forget(now_s)
        self._owed = len(self._letters)

    def forget(self, now_s: float) -> None:
        """Let go of what every broker has written down by now; what is owed is kept for as long as nobody takes it."""
        size = sum(len(letter.payload) for _, letter in self._letters)
        while self._letters and (size > MAX_BYTES or (not self._owed and self._letters[0][0] < now_s - REPEAT_S)):
            size -= len(self._letters.popleft()[1].payload)
            self._owed -= self._owed > 0

    def _take_up(self, notebook: Notebook, now_s: float) -> None:
        try:
            noted = notebook.read(now_s)
        except StateError as error:
            self.trouble = str(error)
            return
        newest = dict[Letter, float]()
        for at_s, letter in noted:
            newest.pop(letter, None)  # one that was said again is noted again, and stands where it was said last
            newest[letter] = at_s
        self._letters.extend(sorted(((at_s, letter) for letter, at_s in newest.items()), key=lambda each: each[0]))
        self._from_before = set(newest)
        # When the process before lost its link is not known; not before it said its last word, after which it may have waited for long.
        self.lose(max(newest.values(), default=now_s))
