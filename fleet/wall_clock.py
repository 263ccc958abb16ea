"""Touches the system's clock, for all that takes time as an argument."""

from __future__ import annotations

from datetime import datetime, timezone


def utc_now() -> datetime:
    """Return aware UTC."""
    return datetime.now(timezone.utc)
