"""Decides what time it is for a device without a trusted clock: never earlier than the newest time that a signature vouched for."""

from __future__ import annotations

from datetime import datetime

from pydantic import AwareDatetime, BaseModel


class Floor(BaseModel, frozen=True, extra="ignore"):
    """A moment that has surely passed, and the timestamp keys that were trusted when it was learnt."""

    moment: AwareDatetime
    keys: tuple[str, ...]


def judged_now(clock: datetime, floor: Floor | None) -> datetime:
    """Return the moment against which expiry is judged: a clock that is behind the floor is wrong, one that is ahead may be right."""
    return clock if floor is None else max(clock, floor.moment)


def standing(floor: Floor | None, keys: tuple[str, ...]) -> Floor | None:
    """Return the floor, or None once the root has named other timestamp keys.

    A thief of the old keys may have signed a time far ahead, which would make all later metadata look expired for ever.
    """
    return floor if floor is not None and floor.keys == keys else None


def raised(floor: Floor | None, keys: tuple[str, ...], signed: tuple[datetime, ...], bound: datetime) -> Floor | None:
    """Return the floor after verified documents said when they were `signed`; the system's clock has no say in it.

    A time after `bound`, the verified timestamp's own expiry, contradicts it and counts for nothing.
    """
    moments = [moment for moment in signed if moment < bound]
    old = standing(floor, keys)
    if old is not None:
        moments.append(old.moment)
    return Floor(moment=max(moments), keys=keys) if moments else None
