"""Reads and writes devices, and what they said last."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, Row, select

from contracts.messages import Birth, Reported
from fleet.core.devices import SIMULATED, Device, HeardDevice
from fleet.errors import DeviceExistsError, UnknownDeviceError
from fleet.store.database import Database
from fleet.store.rows import TEXT_BY_NAME
from fleet.store.tables import devices, reports

MAX_NAMES = 500


class DeviceStore:
    """The devices of the fleet."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def ids(self) -> tuple[str, ...]:
        """Return every device's id."""
        with self._database.reading() as connection:
            return tuple(connection.execute(select(devices.c.id).order_by(devices.c.id)).scalars())

    def add_simulated(self, new: Sequence[Device]) -> None:
        """Keep devices that are played, where they are not kept yet; raise DeviceExistsError for the name of a real one."""
        with self._database.writing() as connection:
            kept = {row.id: row for row in connection.execute(select(devices).where(devices.c.id.in_([device.id for device in new])))}
            for row in kept.values():
                if not SIMULATED.items() <= device_of(row).labels.items():
                    raise DeviceExistsError(row.id)
            rows = [
                {"id": device.id, "hardware": device.hardware, "labels": json.dumps(dict(device.labels)), "added_at": device.added_at}
                for device in new
                if device.id not in kept
            ]
            if rows:
                connection.execute(devices.insert(), rows)

    def heard(self, *, added_since: datetime | None = None) -> tuple[HeardDevice, ...]:
        """Return devices in good standing with their newest words, ordered by id: every one, or those added since a moment."""
        query = select(devices).where(devices.c.revoked_at.is_(None)).order_by(devices.c.id)
        with self._database.reading() as connection:
            rows = connection.execute(query if added_since is None else query.where(devices.c.added_at > added_since)).all()
            # Past some hundreds of names, reading every word is cheaper than asking by name.
            ids = tuple(row.id for row in rows) if len(rows) <= MAX_NAMES else None
            births, reporteds = latest(connection, "birth", ids), latest(connection, "reported", ids)
            return tuple(
                HeardDevice(
                    device_of(row),
                    Birth.model_validate_json(births[row.id]) if row.id in births else None,
                    Reported.model_validate_json(reporteds[row.id]) if row.id in reporteds else None,
                )
                for row in rows
            )


def latest(connection: Connection, leaf: str, ids: tuple[str, ...] | None = None) -> dict[str, str]:
    """Return the newest message of a kind by device, of all devices or of some."""
    query = select(reports.c.device, reports.c.body).where(reports.c.leaf == leaf)
    if ids is not None:
        query = query.where(reports.c.device.in_(ids))
    return {row.device: row.body for row in connection.execute(query)}


def device_of(row: Row[tuple[object, ...]]) -> Device:
    """Read a row of the devices table."""
    return Device(row.id, row.hardware, TEXT_BY_NAME.validate_json(row.labels), row.added_at)


def row_of(connection: Connection, device: str) -> Row[tuple[object, ...]]:
    """Return a device's row; raise UnknownDeviceError."""
    row = connection.execute(select(devices).where(devices.c.id == device)).first()
    if row is None:
        raise UnknownDeviceError(device)
    return row
