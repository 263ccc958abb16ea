"""Decides which of a device's numbered messages never came: numbers that grow by one leave a gap where one is missing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# Past so many gaps in one session, the oldest are counted, but no longer known one by one. Replicas that share a device's messages
# see every second one, until the other one has saved what it took.
MAX_GAPS = 2000
# First and last of numbers that follow each other.
Span = tuple[int, int]


@dataclass(frozen=True)
class Tally:
    """What came of one session; numbers begin at 1."""

    newest: int = 0
    # Growing, apart from each other, and all below `newest`.
    missing: tuple[Span, ...] = ()
    # How many are missing in gaps that are no longer known one by one.
    forgotten: int = 0
    # Numbers that never come because their messages were merged into later ones.
    merged: int = 0

    @property
    def lost(self) -> int:
        """Return how many messages nobody can account for."""
        return max(0, self.forgotten + sum(last - first + 1 for first, last in self.missing) - self.merged)


def after(tally: Tally, spans: Iterable[Span]) -> Tally:
    """Return the tally once these came as well, in whatever order; what came before changes nothing."""
    came = sorted(spans)
    if len(came) == 1 and came[0][0] == tally.newest + 1:
        # As almost always.
        return Tally(came[0][1], tally.missing, tally.forgotten, tally.merged)
    newest = max((last for _, last in came), default=0)
    unheard = list(tally.missing)
    if newest > tally.newest:
        unheard.append((tally.newest + 1, newest))
    missing = _without(unheard, came)
    excess = missing[: max(0, len(missing) - MAX_GAPS)]
    forgotten = tally.forgotten + sum(last - first + 1 for first, last in excess)
    return Tally(max(tally.newest, newest), tuple(missing[len(excess) :]), forgotten, tally.merged)


def is_new(tally: Tally, number: int) -> bool:
    """Say whether this one did not come yet; of gaps that are no longer known one by one, everything came."""
    return number > tally.newest or any(first <= number <= last for first, last in tally.missing)


def gaps_to_text(missing: Iterable[Span]) -> str:
    """Write gaps, such as `3,7-9`."""
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in missing)


def gaps_from_text(text: str) -> tuple[Span, ...]:
    """Read gaps."""
    ends = (part.partition("-") for part in text.split(",") if part)
    return tuple((int(first), int(last or first)) for first, _, last in ends)


def _without(spans: list[Span], came: list[Span]) -> list[Span]:
    """Return what is left of spans that lie apart; both lists are in order."""
    left: list[Span] = []
    place = 0
    for start, end in spans:
        while place < len(came) and came[place][1] < start:
            place += 1
        begin, here = start, place
        while here < len(came) and came[here][0] <= end:
            first, last = came[here]
            if first > begin:
                left.append((begin, first - 1))
            begin = max(begin, last + 1)
            here += 1
        if begin <= end:
            left.append((begin, end))
    return left
