"""Decides which messages wait for the link and which are given up: bounded, oldest first, every loss counted."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True)
class Letter:
    """An encoded message and the device's topic leaf it goes to."""

    leaf: str
    payload: bytes


class Outbox:
    """A queue that drops its oldest letter when it is full."""

    def __init__(self, max_letters: int) -> None:
        """Hold at most `max_letters`."""
        self._letters: deque[Letter] = deque(maxlen=max_letters)
        self.dropped = 0

    @property
    def waiting(self) -> int:
        """Return how many letters wait."""
        return len(self._letters)

    def put(self, letter: Letter) -> None:
        """Queue a letter."""
        if len(self._letters) == self._letters.maxlen:
            self.dropped += 1
        self._letters.append(letter)

    def first(self) -> Letter | None:
        """Return the oldest letter and keep it."""
        return self._letters[0] if self._letters else None

    def remove(self, letter: Letter) -> None:
        """Drop a letter that arrived; it may have been pushed out meanwhile."""
        if self._letters and self._letters[0] is letter:
            self._letters.popleft()
