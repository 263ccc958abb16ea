"""Decides what a played device says again: what nobody took, what the broker refused, and what was under way when the link broke.

A real agent merges windows before it gives one up; a played one gives up the oldest, so that ten thousand fit in a small machine.
"""

from __future__ import annotations

from collections.abc import Iterable

from fleet.simulate.device import NEVER, Say

# Of one device.
MAX_BYTES = 2048
FIRST_S, LONGEST_S = 1.0, 60.0


class Kept:
    """Of one device that has something to say again; a record, because there may be many."""

    __slots__ = ("absences", "again_s", "is_report_due", "says", "size")

    def __init__(self) -> None:
        """Keep nothing."""
        self.says: list[Say] = []
        self.size = 0
        # What the broker retains is made anew.
        self.is_report_due = False
        # In a row, and when to try again, in seconds since 1970.
        self.absences = 0
        self.again_s = NEVER

    @property
    def is_silent(self) -> bool:
        """Say whether new messages have to wait, too."""
        return self.absences > 0

    def put(self, says: Iterable[Say], *, first: bool = False) -> int:
        """Keep messages, before all others or after them; return how many were given up for want of room."""
        new = list(says)
        self.says = new + self.says if first else self.says + new
        self.size += sum(len(say.payload) for say in new)
        gone = 0
        while self.size > MAX_BYTES:
            self.size -= len(self.says.pop(0).payload)
            gone += 1
        return gone

    def refuse(self, now_s: float, chance: float) -> None:
        """Take note that the newest attempt failed; `chance` in 0..1 spreads a fleet."""
        self.absences += 1
        longest_s = min(LONGEST_S, FIRST_S * 2.0 ** min(self.absences - 1, 10))
        self.again_s = now_s + longest_s * (0.5 + 0.5 * chance)

    def postpone_report(self, now_s: float, chance: float) -> None:
        """Take note that the broker did not take what it is to retain; that says nothing of anybody behind it."""
        self.is_report_due = True
        self.again_s = min(self.again_s, now_s + LONGEST_S * (0.5 + 0.5 * chance))

    def attempt(self) -> list[Say]:
        """Take out what is to be tried now: one message, as long as nobody takes any."""
        self.again_s = NEVER
        self.absences = self.absences if self.says else 0
        tried, self.says = (self.says[:1], self.says[1:]) if self.is_silent else (self.says, [])
        self.size = sum(len(say.payload) for say in self.says)
        return tried
