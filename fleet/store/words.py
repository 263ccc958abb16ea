"""Reads what devices said last, by when it came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from fleet.store.database import Database
from fleet.store.tables import reports

# How many bodies are asked for by name at once.
BATCH = 400


@dataclass(frozen=True)
class WordMark:
    """That a device said something: which kind, which message, and when it came."""

    device: str
    leaf: str
    session: str
    sequence: int
    received_at: datetime


class WordStore:
    """The newest message of each kind of each device."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def marks(self, leaf: str, since: datetime | None) -> tuple[WordMark, ...]:
        """Return which devices' newest message of a kind came since then; of all, without a moment."""
        columns = (reports.c.device, reports.c.leaf, reports.c.session, reports.c.sequence, reports.c.received_at)
        query = select(*columns).where(reports.c.leaf == leaf)
        if since is not None:
            query = query.where(reports.c.received_at >= since)
        with self._database.reading() as connection:
            return tuple(WordMark(*row) for row in connection.execute(query))

    def bodies(self, leaf: str, devices: Sequence[str]) -> dict[str, str]:
        """Return the newest message of a kind of some devices."""
        found: dict[str, str] = {}
        with self._database.reading() as connection:
            for start in range(0, len(devices), BATCH):
                named = reports.c.device.in_(devices[start : start + BATCH])
                rows = connection.execute(select(reports.c.device, reports.c.body).where(named, reports.c.leaf == leaf))
                found.update({row.device: row.body for row in rows})
        return found
