"""Answers for pages of the fleet table as JSON: reads the rows of the page alone, and hands on what was stored as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, bindparam, select

from fleet.core.status import ABSENT, shown_status
from fleet.store.database import Database
from fleet.store.devices import batches
from fleet.store.quick_words import DeviceRow, raw, read_words, write_rows
from fleet.store.tables import devices, reports

LEAVES = ("birth", "reported", "health")
Columns = tuple[str, str, str, datetime | None, datetime | None]

_COLUMNS = (devices.c.id, devices.c.hardware, devices.c.labels, devices.c.last_seen, devices.c.revoked_at)
_WORDS = select(reports.c.device, reports.c.leaf, reports.c.body).where(reports.c.leaf.in_(LEAVES))
_FOLLOWING = select(*_COLUMNS).where(devices.c.id > bindparam("after")).order_by(devices.c.id).limit(bindparam("at_most"))
_NAMED = select(*_COLUMNS).where(devices.c.id.in_(bindparam("ids", expanding=True)))
_WORDS_OF = _WORDS.where(reports.c.device.in_(bindparam("ids", expanding=True)))


@dataclass(frozen=True)
class DevicePage:
    """A JSON list of `DeviceSummary`, and after which device the next page begins; None when nothing follows."""

    items: bytes
    last: str | None


class DevicePages:
    """The fleet table; `now` gives aware UTC."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        """Work on an open database."""
        self._database = database
        self._now = now

    def following(self, after: str, limit: int) -> DevicePage:
        """Return devices ordered by id, those after `after`."""
        with self._database.reading() as connection:
            rows = _columns(connection, _FOLLOWING, {"after": after, "at_most": limit + 1})
            items = self._written(connection, rows[:limit])
        return DevicePage(items, rows[limit - 1][0] if len(rows) > limit else None)

    def named(self, ids: Sequence[str], limit: int) -> DevicePage:
        """Return the first of some devices in their order; those that are gone are left out."""
        with self._database.reading() as connection:
            found = {row[0]: row for batch in batches(ids[:limit]) for row in _columns(connection, _NAMED, {"ids": batch})}
            items = self._written(connection, [found[name] for name in ids[:limit] if name in found])
        return DevicePage(items, ids[limit - 1] if len(ids) > limit else None)

    def _written(self, connection: Connection, rows: Sequence[Columns]) -> bytes:
        words: dict[str, dict[str, str]] = {row[0]: {} for row in rows}
        for batch in batches(words):
            for device, leaf, body in connection.execute(_WORDS_OF, {"ids": batch}).all():
                words[device][leaf] = body
        now = self._now()
        return write_rows([_row(row, words[row[0]], now) for row in rows])


def _columns(connection: Connection, query: Select[Any], values: dict[str, object]) -> list[Columns]:
    return [(row[0], row[1], row[2], row[3], row[4]) for row in connection.execute(query, values).all()]


def _row(columns: Columns, words: dict[str, str], now: datetime) -> DeviceRow:
    device, hardware, labels, last_seen, revoked_at = columns
    gist, models, health = read_words(words)
    status, reason = shown_status(gist, last_seen, revoked_at, now)
    return DeviceRow(device, hardware, raw(labels), status not in ABSENT, last_seen, models, health, status, reason)
