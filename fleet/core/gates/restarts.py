"""Decides how often a worker was restarted within a time, from a counter that every run of the agent begins anew."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from fleet.core.gates.evidence import Sums

HOUR = timedelta(hours=1)


class Count(NamedTuple):
    """In one session the counter stood at `restarts`, seen so first and last at these times."""

    session: str
    restarts: int
    first_at: datetime
    last_at: datetime


def restarts_since(counts: Iterable[Count], since: datetime) -> Sums:
    """Return restarts over the hours that were watched: in each session by how much the counter grew, from one sight of it to another.

    What a session counted before it was first seen says nothing of when; the time between two sessions was watched by nobody.
    """
    sessions: defaultdict[str, list[Count]] = defaultdict(list)
    for count in counts:
        sessions[count.session].append(count)
    grown = [_growth(seen, since) for seen in sessions.values()]
    return Sums(sum(restarts for restarts, _ in grown), sum((watched for _, watched in grown), timedelta()) / HOUR)


def _growth(seen: Sequence[Count], since: datetime) -> tuple[int, timedelta]:
    """Return how far one session's counter grew, and over what time."""
    begun = [count.restarts for count in seen if count.first_at <= since]
    begin = since if begun else min(count.first_at for count in seen)
    end = max(count.last_at for count in seen)
    if end <= begin:
        return 0, timedelta()
    at_first = max(begun) if begun else min(count.restarts for count in seen)
    return max(count.restarts for count in seen) - at_first, end - begin
