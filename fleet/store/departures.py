"""Takes a device's rows away, all or none, and remembers how far its wishes counted and what the broker still retains of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, select, update

from fleet.errors.devices import UnknownDeviceError
from fleet.store.database import Database
from fleet.store.rows import NAMES
from fleet.store.tables import (
    certificates,
    commands,
    configurations,
    departures,
    device_groups,
    devices,
    enrolment_tokens,
    events,
    health_buckets,
    health_points,
    inference_windows,
    quarantine,
    reports,
    tallies,
    wishes,
    work_buckets,
)
from fleet.store.upsert import put

# What a device is and shall do, which ends with it.
STATE = (wishes, reports, tallies, quarantine)
# What it did, and what was done to it.
HISTORY = (health_points, inference_windows, events, health_buckets, work_buckets, commands, configurations)


class DepartureStore:
    """Devices that were removed from the fleet."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def remove(self, device: str, by: str, now: datetime, *, keeps_history: bool) -> None:
        """Take a device out with its certificates; raise UnknownDeviceError. Doing so again takes away the history that was kept."""
        with self._database.writing() as connection:
            is_here = connection.execute(delete(devices).where(devices.c.id == device)).rowcount
            floor = connection.execute(select(departures.c.generation).where(departures.c.device == device)).scalar()
            if not is_here and floor is None:
                raise UnknownDeviceError(device)
            generation = connection.execute(select(wishes.c.generation).where(wishes.c.device == device)).scalar()
            row = {"device": device, "generation": max(floor or 0, generation or 0), "removed_by": by, "at": now, "cleared": 0}
            put(connection, departures, row)
            _void(connection, device, now)
            _leave_groups(connection, device)
            for table in STATE if keeps_history else (*STATE, *HISTORY):
                connection.execute(delete(table).where(table.c.device == device))

    def uncleared(self) -> tuple[str, ...]:
        """Return the devices of whom the broker may retain something, unless their names came back."""
        query = select(departures.c.device).where(departures.c.cleared == 0, departures.c.device.not_in(select(devices.c.id)))
        with self._database.reading() as connection:
            return tuple(connection.execute(query.order_by(departures.c.device)).scalars())

    def cleared(self, names: Sequence[str]) -> None:
        """Note that the broker retains nothing of them."""
        with self._database.writing() as connection:
            connection.execute(update(departures).where(departures.c.device.in_(names)).values(cleared=1))


def _void(connection: Connection, device: str, now: datetime) -> None:
    """Let nobody in by what was given out in this name, and ask nothing of it any more."""
    mine = (certificates.c.device == device) & certificates.c.revoked_at.is_(None)
    connection.execute(update(certificates).where(mine).values(revoked_at=now))
    connection.execute(delete(enrolment_tokens).where(enrolment_tokens.c.device == device))
    connection.execute(delete(commands).where(commands.c.device == device, commands.c.said.is_(None)))


def _leave_groups(connection: Connection, device: str) -> None:
    for row in connection.execute(select(device_groups).where(device_groups.c.devices.is_not(None))).all():
        ids = NAMES.validate_json(row.devices)
        if device in ids:
            rest = json.dumps(sorted(set(ids) - {device}))
            connection.execute(update(device_groups).where(device_groups.c.name == row.name).values(devices=rest))
