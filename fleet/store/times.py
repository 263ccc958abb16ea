"""How a time lies in a column that is written past the compiler: microseconds since 1970 UTC."""

from __future__ import annotations

from datetime import datetime, timedelta

from fleet.store.tables import EPOCH

_MICROSECOND = timedelta(microseconds=1)


def micros(at: datetime) -> int:
    """Return what `Stamp` would store."""
    return (at - EPOCH) // _MICROSECOND
