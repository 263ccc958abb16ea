"""Keeps in memory what every device reported last, and reads anew only those that said something since."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, Connection, select, type_coerce

from contracts.messages import Birth, Health, Reported
from fleet.core.inventory import Inventory, Words, inventory_of
from fleet.store.database import Database
from fleet.store.devices import batches, latest
from fleet.store.rows import TEXT_BY_NAME
from fleet.store.tables import EPOCH, devices, reports

LEAVES = ("birth", "reported", "health")
# A batch of messages is stamped before it is kept: who looks in between would miss it without looking back.
LOOK_BACK = timedelta(seconds=5)
# What was kept even later is found by then.
LOOK_AT_ALL = timedelta(minutes=5)

# Which message of a kind a device's inventory was made from.
Mark = tuple[str, int]
# Hardware, labels as text; when it was seen last and let in, in microseconds.
Admitted = tuple[str, str, "int | None", "int | None"]


class Roster:
    """One memory for all who ask; reading costs as much as was said meanwhile."""

    def __init__(self, database: Database) -> None:
        """Nothing is read yet."""
        self._database = database
        self._lock = threading.Lock()
        self._known: dict[str, Inventory] = {}
        self._rows: dict[str, Admitted] = {}
        self._marks: dict[tuple[str, str], Mark] = {}
        self._newest: datetime | None = None
        self._looked_at: datetime | None = None
        self._looked_at_all: datetime | None = None

    def inventories(self, now: datetime, max_age: timedelta = timedelta(0)) -> tuple[Inventory, ...]:
        """Return every device in good standing, ordered by id, as it was told at most `max_age` ago."""
        with self._lock:
            if self._looked_at is None or not timedelta(0) <= now - self._looked_at < max_age:
                with self._database.reading() as connection:
                    self._look(connection, now)
                self._looked_at = now
            return tuple(self._known.values())

    def outdate(self) -> None:
        """Look anew before the next answer, whatever age it may have."""
        with self._lock:
            self._looked_at = None

    def _look(self, connection: Connection, now: datetime) -> None:
        changed = self._speakers(connection, now)
        # A stamp stays a number until it has changed: most have not.
        seen, added = (type_coerce(column, BigInteger) for column in (devices.c.last_seen, devices.c.added_at))
        columns = (devices.c.id, devices.c.hardware, devices.c.labels, seen, added)
        query = select(*columns).where(devices.c.revoked_at.is_(None)).order_by(devices.c.id)
        rows: dict[str, Admitted] = {row[0]: (row[1], row[2], row[3], row[4]) for row in connection.execute(query)}
        known = self._known
        fresh: dict[str, Inventory] = {}
        stale: list[str] = []
        for device, row in rows.items():
            before = self._rows.get(device)
            if before is None or before[:2] != row[:2] or device in changed:
                stale.append(device)
            elif before != row:
                fresh[device] = replace(known[device], last_seen=_moment(row[2]))
        fresh.update(_read(connection, {device: rows[device] for device in stale}))
        self._rows = rows
        self._known = {device: fresh.get(device) or known[device] for device in rows}

    def _speakers(self, connection: Connection, now: datetime) -> set[str]:
        """Return the devices that said something new."""
        since = None if self._newest is None else self._newest - LOOK_BACK
        if self._looked_at_all is None or now - self._looked_at_all >= LOOK_AT_ALL:
            since, self._looked_at_all = None, now
        changed: set[str] = set()
        columns = (reports.c.device, reports.c.session, reports.c.sequence, reports.c.received_at)
        for leaf in LEAVES:
            query = select(*columns).where(reports.c.leaf == leaf)
            for device, session, sequence, received_at in connection.execute(
                query if since is None else query.where(reports.c.received_at >= since)
            ):
                if self._marks.get((device, leaf)) != (session, sequence):
                    self._marks[device, leaf] = (session, sequence)
                    changed.add(device)
                if self._newest is None or received_at > self._newest:
                    self._newest = received_at
        return changed


def _read(connection: Connection, rows: Mapping[str, Admitted]) -> Iterator[tuple[str, Inventory]]:
    """Yield the inventories of devices, from what they said last."""
    for batch in batches(rows):
        births, reporteds, healths = (latest(connection, leaf, batch) for leaf in LEAVES)
        for device in batch:
            hardware, labels, seen, added = rows[device]
            birth, said, health = births.get(device), reporteds.get(device), healths.get(device)
            yield (
                device,
                inventory_of(
                    device,
                    hardware,
                    TEXT_BY_NAME.validate_json(labels),
                    Words(
                        Birth.model_validate_json(birth) if birth else None,
                        Reported.model_validate_json(said) if said else None,
                        Health.model_validate_json(health) if health else None,
                        _moment(seen),
                        _moment(added),
                    ),
                ),
            )


def _moment(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else EPOCH + timedelta(microseconds=microseconds)
