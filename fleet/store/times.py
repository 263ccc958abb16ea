"""How a time lies in a column that is written past the compiler: microseconds since 1970 UTC."""

from __future__ import annotations

from datetime import datetime, timedelta

from fleet.store.tables import EPOCH

_MICROSECOND = timedelta(microseconds=1)
# What every time zone can still write, 9999-12-30.
_LATEST = 253_402_128_000_000_000


def micros(at: datetime) -> int:
    """Return what `Stamp` would store; a clock that is beyond all reason counts as the first or last time that can be read back."""
    found = (at - EPOCH) // _MICROSECOND
    return 0 if found < 0 else min(found, _LATEST)


def moment(found: int) -> datetime:
    """Return the time that a number stands for; one that is beyond all reason counts as the first or last there is."""
    return EPOCH + min(max(found, 0), _LATEST) * _MICROSECOND
