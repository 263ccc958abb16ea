"""Decides how long a login has to wait after others failed."""

from __future__ import annotations

from datetime import timedelta

# So many may fail before anybody waits.
FREE_FAILURES = 5
# An address that guesses is soon slow; a name may be tried by anybody, so that its owner must not be kept out for long.
LONGEST = {"address": timedelta(minutes=15), "name": timedelta(minutes=1)}
# Without a further failure.
FORGET_AFTER = timedelta(hours=1)


def wait_after(kind: str, failures: int) -> timedelta:
    """Return how long the next attempt from an `address`, or for a `name`, has to wait: twice as long each time, up to a bound."""
    if failures < FREE_FAILURES:
        return timedelta(0)
    return min(timedelta(seconds=2 ** min(failures - FREE_FAILURES, 20)), LONGEST[kind])
