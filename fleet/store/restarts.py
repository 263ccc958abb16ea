"""Keeps how often workers were restarted: at which numbers each counter stood, and from when to when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import Connection, case, select

from contracts.messages import Health
from fleet.core.freshness import Heard, plausible_times
from fleet.core.gates.evidence import Sums
from fleet.core.gates.restarts import Count, restarts_since
from fleet.store.database import Database
from fleet.store.devices import batches
from fleet.store.tables import restart_counts
from fleet.store.upsert import INSERT

# Device, session, model, restarts.
Key = tuple[str, str, str, int]


def note_restarts(connection: Connection, batch: Iterable[Heard], max_age: timedelta) -> None:
    """Widen the time for which each counter was seen where it stands; what comes twice, or out of order, changes nothing."""
    seen: dict[Key, tuple[datetime, datetime]] = {}
    for device, leaf, message, received_at in batch:
        if leaf != "health":
            continue
        at = plausible_times(received_at, max_age)(message.sent_at)
        for model, worker in cast("Health", message).workers.items():
            key = (device, message.session, model, worker.restarts)
            first, last = seen.get(key, (at, at))
            seen[key] = (min(first, at), max(last, at))
    if not seen:
        return
    names = [column.name for column in restart_counts.columns]
    statement = INSERT[connection.dialect.name](restart_counts)
    columns, new = restart_counts.c, statement.excluded
    widened = {
        "first_at": case((new.first_at < columns.first_at, new.first_at), else_=columns.first_at),
        "last_at": case((new.last_at > columns.last_at, new.last_at), else_=columns.last_at),
    }
    rows = [dict(zip(names, (*key, *times), strict=True)) for key, times in sorted(seen.items())]
    connection.execute(statement.on_conflict_do_update(index_elements=names[:4], set_=widened), rows)


class RestartStore:
    """Reads counts for those who judge releases."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def restarts(self, since: Mapping[str, datetime], model: str) -> dict[str, Sums]:
        """Return the restarts of a model's workers over the hours watched, of each device since its own moment."""
        columns = restart_counts.c
        found: defaultdict[str, list[Count]] = defaultdict(list)
        with self._database.reading() as connection:
            for batch in batches(list(since)):
                rows = connection.execute(
                    select(columns.device, columns.session, columns.restarts, columns.first_at, columns.last_at).where(
                        columns.device.in_(batch), columns.model == model
                    )
                )
                for device, *count in rows:
                    found[device].append(Count(*count))
        return {device: restarts_since(counts, since[device]) for device, counts in found.items()}
