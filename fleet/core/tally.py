"""Decides which of a device's numbered messages never came: numbers that grow by one leave a gap where one is missing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# Past so many gaps in one session, the oldest are counted, but no longer known one by one.
MAX_GAPS = 64
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
    newest, missing = tally.newest, list(tally.missing)
    for first, last in sorted(spans):
        if first > newest + 1:
            missing.append((newest + 1, first - 1))
        elif first <= newest and missing:
            missing = _without(missing, first, last)
        newest = max(newest, last)
    excess = missing[: max(0, len(missing) - MAX_GAPS)]
    forgotten = tally.forgotten + sum(last - first + 1 for first, last in excess)
    return Tally(newest, tuple(missing[len(excess) :]), forgotten, tally.merged)


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


def _without(missing: list[Span], first: int, last: int) -> list[Span]:
    left: list[Span] = []
    for start, end in missing:
        if end < first or start > last:
            left.append((start, end))
            continue
        if start < first:
            left.append((start, first - 1))
        if end > last:
            left.append((last + 1, end))
    return left
