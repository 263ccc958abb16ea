"""Reads what devices said last, by when it came."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import BigInteger, ColumnElement, func, select, type_coerce

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
    """The newest message of each kind of each device."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def figure(self, leaf: str, since: datetime | None) -> tuple[int, int]:
        """Return two numbers that change with what came since then; the index alone tells them."""
        stamps = type_coerce(reports.c.received_at, BigInteger) % MODULUS
        with self._database.reading() as connection:
            count, total = connection.execute(select(func.count(), func.sum(stamps)).where(_came(leaf, since))).one()
        return count, int(total or 0)

    def marks(self, leaf: str, since: datetime | None) -> tuple[WordMark, ...]:
        """Return which devices' newest message of a kind came since then; of all, without a moment."""
        word = reports.c
        query = select(word.device, word.session, word.sequence, word.received_at).where(_came(leaf, since))
        with self._database.reading() as connection:
            return tuple(map(WordMark._make, connection.execute(query).all()))

    def bodies(self, leaf: str, devices: Sequence[str]) -> dict[str, str]:
        """Return the newest message of a kind of some devices."""
        found: dict[str, str] = {}
        with self._database.reading() as connection:
            for start in range(0, len(devices), BATCH):
                named = reports.c.device.in_(devices[start : start + BATCH])
                rows = connection.execute(select(reports.c.device, reports.c.body).where(named, reports.c.leaf == leaf))
                found.update({row.device: row.body for row in rows})
        return found


def _came(leaf: str, since: datetime | None) -> ColumnElement[bool]:
    is_kind = reports.c.leaf == leaf
    return is_kind if since is None else is_kind & (reports.c.received_at >= since)
