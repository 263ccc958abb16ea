"""Reads what happened on a device."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, Row, literal, select, tuple_

from fleet.store.rows import TEXT_BY_NAME
from fleet.store.tables import Stamp, events
from fleet.views.device_details import EventView

# When, and which message of which session: no two events of a device have the same.
_KEY = (events.c.at, events.c.session, events.c.sequence)


def read_events(
    connection: Connection, device: str, limit: int, before: tuple[datetime, str, int] | None = None
) -> Sequence[Row[tuple[object, ...]]]:
    """Return a device's events, newest first, those before a key."""
    query = select(events).where(events.c.device == device).order_by(*(column.desc() for column in _KEY)).limit(limit)
    if before is not None:
        at, session, sequence = before
        query = query.where(tuple_(*_KEY) < tuple_(literal(at, Stamp), literal(session), literal(sequence)))
    return connection.execute(query).all()


def event_view(row: Row[tuple[object, ...]]) -> EventView:
    """Return one of them in the words of the API."""
    facts = TEXT_BY_NAME.validate_json(row.facts)
    return EventView(at=row.at, kind=row.kind, severity=row.severity, model=row.model, text=row.text, facts=facts)
