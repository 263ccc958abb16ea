"""Finds time zones in the system's own list."""

from __future__ import annotations

from datetime import timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

UTC = "UTC"


def zone_of(name: str) -> tzinfo | None:
    """Return a zone such as Europe/Paris; None for a name that this system does not know."""
    if name == UTC:
        return timezone.utc
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # no such file, no such name, or a folder of that name
        return None


def name_of(zone: tzinfo) -> str:
    """Return the name by which it is found again."""
    return zone.key if isinstance(zone, ZoneInfo) else UTC
