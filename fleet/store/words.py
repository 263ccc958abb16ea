"""Reads what devices said last, by when it came."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import BigInteger, func, select, type_coerce

from fleet.store.database import Database
from fleet.store.tables import reports

# How many bodies are asked for by name at once.
BATCH = 400
# Microseconds of many stamps add up to more than a column holds; their rests do not.
MODULUS = 1_000_000_007


class WordMark(NamedTuple):
    """That a device said something: which message, and when it came."""

    device: str
    session: str
    sequence: int
    received_at: datetime


class WordStore:
    """The newest message of each kind of each device; one reader's, because it remembers what that has seen."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database
        self._looks: dict[str, tuple[datetime | None, int, int]] = {}

    def marks(self, leaf: str, since: datetime | None) -> tuple[WordMark, ...]:
        """Return which devices' newest message of a kind came since then, of all without a moment; nothing where that was returned last."""
        word = reports.c
        which = word.leaf == leaf if since is None else (word.leaf == leaf) & (word.received_at >= since)
        # The index alone tells whether there is anything that was not there at the last look.
        stamps = type_coerce(word.received_at, BigInteger) % MODULUS
        with self._database.reading() as connection:
            count, total = connection.execute(select(func.count(), func.sum(stamps)).where(which)).one()
            look = (since, count, int(total or 0))
            if self._looks.get(leaf) == look:
                return ()
            rows = connection.execute(select(word.device, word.session, word.sequence, word.received_at).where(which)).all()
        self._looks[leaf] = look
        return tuple(map(WordMark._make, rows))

    def bodies(self, leaf: str, devices: Sequence[str]) -> dict[str, str]:
        """Return the newest message of a kind of some devices."""
        found: dict[str, str] = {}
        with self._database.reading() as connection:
            for start in range(0, len(devices), BATCH):
                named = reports.c.device.in_(devices[start : start + BATCH])
                rows = connection.execute(select(reports.c.device, reports.c.body).where(named, reports.c.leaf == leaf))
                found.update({row.device: row.body for row in rows})
        return found
