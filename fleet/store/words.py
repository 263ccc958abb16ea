"""Reads what devices said last, by when it came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import BigInteger, ColumnElement, func, select, type_coerce

from fleet.store.database import Database
from fleet.store.tables import reports

# How many bodies are asked for by name at once.
BATCH = 400
# Microseconds of many stamps add up to more than a column holds; their rests do not.
MODULUS = 1_000_000_007
# In microseconds since 1970, as it is stored.
_came_at = type_coerce(reports.c.received_at, BigInteger)


class Mark(NamedTuple):
    """That a device said something."""

    device: str
    # Another one for every message.
    which: int
    came_at: int


class WordStore:
    """The newest message of each kind of each device."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def figure(self, leaf: str, since: int | None) -> tuple[int, int]:
        """Return two numbers that change with what came since then; the index alone tells them."""
        with self._database.reading() as connection:
            count, total = connection.execute(select(func.count(), func.sum(_came_at % MODULUS)).where(_came(leaf, since))).one()
        return count, int(total or 0)

    def marks(self, leaf: str, since: int | None) -> list[Mark]:
        """Return what identifies devices' newest message of a kind, if it came since then; of all, without a moment."""
        word = reports.c
        query = select(word.device, word.session, word.sequence, _came_at).where(_came(leaf, since))
        with self._database.reading() as connection:
            # A last will repeats the number of its birth, and comes later.
            return [Mark(row[0], hash((row[1], row[2], row[3])), row[3]) for row in connection.execute(query)]

    def bodies(self, leaf: str, devices: Sequence[str]) -> dict[str, str]:
        """Return the newest message of a kind of some devices."""
        found: dict[str, str] = {}
        with self._database.reading() as connection:
            for start in range(0, len(devices), BATCH):
                named = reports.c.device.in_(devices[start : start + BATCH])
                rows = connection.execute(select(reports.c.device, reports.c.body).where(named, reports.c.leaf == leaf))
                found.update({row[0]: row[1] for row in rows})
        return found


def _came(leaf: str, since: int | None) -> ColumnElement[bool]:
    is_kind = reports.c.leaf == leaf
    return is_kind if since is None else is_kind & (_came_at >= since)
