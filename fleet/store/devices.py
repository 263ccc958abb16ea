"""Reads and writes devices, and what they said last."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from sqlalchemy import Connection, Row, select, update

from contracts.messages import Birth, Reported
from fleet.core.devices import Device, HeardDevice
from fleet.core.labels import SIMULATED, changed, version_of
from fleet.errors.devices import DeviceExistsError, UnknownDeviceError
from fleet.errors.targeting import StaleVersionError
from fleet.store.database import Database
from fleet.store.rows import TEXT_BY_NAME
from fleet.store.tables import devices, reports

# How many devices a statement names at once.
BATCH = 400

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

    def relabel(self, wanted: Mapping[str, str | None], put: Mapping[str, str], drop: Collection[str]) -> tuple[str, ...]:
        """Change labels of devices, all or none, and return which of them changed.

        `wanted` gives each device the version of the labels that the author of the change saw; None for whatever they are. Raises
        UnknownDeviceError, StaleVersionError or LabelsError.
        """
        done: list[str] = []
        with self._database.writing() as connection:
            kept = {row.id: row for batch in batches(wanted) for row in connection.execute(select(devices).where(devices.c.id.in_(batch)))}
            for device, seen in wanted.items():
                if device not in kept:
                    raise UnknownDeviceError(device)
                labels = device_of(kept[device]).labels
                if seen not in (None, version_of(labels)):
                    raise StaleVersionError(f"labels of device {device}", str(seen), version_of(labels))
                after = changed(device, labels, put, drop)
                if after != labels:
                    connection.execute(update(devices).where(devices.c.id == device).values(labels=json.dumps(after)))
                    done.append(device)
        return tuple(done)

    def heard(self) -> tuple[HeardDevice, ...]:
        """Return every device in good standing with its newest words, ordered by id."""
        with self._database.reading() as connection:
            return _heard(connection, None)

    def heard_of(self, ids: Sequence[str]) -> tuple[HeardDevice, ...]:
        """Return those of some devices that are in good standing, with their newest words, ordered by id."""
        with self._database.reading() as connection:
            return tuple(found for batch in batches(sorted(ids)) for found in _heard(connection, batch))


def _heard(connection: Connection, ids: tuple[str, ...] | None) -> tuple[HeardDevice, ...]:
    births, reporteds = latest(connection, "birth", ids), latest(connection, "reported", ids)
    query = select(devices).where(devices.c.revoked_at.is_(None)).order_by(devices.c.id)
    return tuple(
        HeardDevice(
            device_of(row),
            Birth.model_validate_json(births[row.id]) if row.id in births else None,
            Reported.model_validate_json(reporteds[row.id]) if row.id in reporteds else None,
        )
        for row in connection.execute(query if ids is None else query.where(devices.c.id.in_(ids)))
    )


def batches(ids: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Yield ids in numbers that a statement may name."""
    names = tuple(ids)
    return (names[start : start + BATCH] for start in range(0, len(names), BATCH))


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
