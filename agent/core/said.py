"""Decides what a device says again after it lost its link: the broker may have died, and with it what it acknowledged last."""

from __future__ import annotations

from collections import deque

from agent.core.drawers import Letter
from contracts.messages import REPEAT_S

# More than this is not remembered, in bytes of payload.
MAX_BYTES = 1 << 20


class Said:
    """The letters that were acknowledged within `REPEAT_S` before now, or before the link was lost."""

    def __init__(self) -> None:
        """Nothing was said."""
        self._letters: deque[tuple[float, Letter]] = deque()

    @property
    def letters(self) -> list[Letter]:
        """Return them in order."""
        return [letter for _, letter in self._letters]

    def add(self, letter: Letter, now_s: float) -> None:
        """Remember that a letter was acknowledged now, in monotonic seconds, be it for the first time or again."""
        self._letters = deque(each for each in self._letters if each[1] is not letter)
        self._letters.append((now_s, letter))
        self.forget(now_s)

    def forget(self, now_s: float) -> None:
        """Let go of what every broker has written down by now."""
        size = sum(len(letter.payload) for _, letter in self._letters)
        while self._letters and (self._letters[0][0] < now_s - REPEAT_S or size > MAX_BYTES):
            size -= len(self._letters.popleft()[1].payload)
