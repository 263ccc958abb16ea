"""Reads and writes groups of devices; a change names the version that its author saw."""

from __future__ import annotations

import json

from sqlalchemy import Connection, Row, delete, select

from fleet.core.targeting.groups import FixedGroup, Group, SavedQuery, version_of
from fleet.core.targeting.parse import parse_query
from fleet.errors.devices import UnknownDeviceError
from fleet.errors.targeting import StaleVersionError, UnknownGroupError
from fleet.store.database import Database
from fleet.store.rows import NAMES
from fleet.store.tables import device_groups, devices
from fleet.store.upsert import put

# What stands for a group that is not there.
NONE = "none"


class GroupStore:
    """The groups of the fleet."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def all(self) -> dict[str, Group]:
        """Return every group by its name, in the order of names."""
        with self._database.reading() as connection:
            rows = connection.execute(select(device_groups).order_by(device_groups.c.name)).all()
        return {row.name: _group_of(row) for row in rows}

    def get(self, name: str) -> Group:
        """Return a group; raise UnknownGroupError."""
        with self._database.reading() as connection:
            found = _read(connection, name)
        if found is None:
            raise UnknownGroupError(name)
        return found

    def put(self, name: str, group: Group, seen: str | None) -> None:
        """Keep a group in place of what `seen` is the version of, or of anything; raise StaleVersionError or UnknownDeviceError."""
        row: dict[str, object] = {"name": name, "query": None, "devices": None}
        with self._database.writing() as connection:
            _check(connection, name, seen)
            match group:
                case FixedGroup(ids):
                    strangers = ids - set(connection.execute(select(devices.c.id)).scalars())
                    if strangers:
                        raise UnknownDeviceError(min(strangers))
                    row["devices"] = json.dumps(sorted(ids))
                case SavedQuery(query):
                    row["query"] = str(query)
            put(connection, device_groups, row)

    def remove(self, name: str, seen: str | None) -> None:
        """Forget a group; raise UnknownGroupError or StaleVersionError."""
        with self._database.writing() as connection:
            if _check(connection, name, seen) is None:
                raise UnknownGroupError(name)
            connection.execute(delete(device_groups).where(device_groups.c.name == name))


def _check(connection: Connection, name: str, seen: str | None) -> Group | None:
    found = _read(connection, name)
    version = NONE if found is None else version_of(found)
    if seen not in (None, version):
        raise StaleVersionError(f"group {name}", str(seen), version)
    return found


def _read(connection: Connection, name: str) -> Group | None:
    row = connection.execute(select(device_groups).where(device_groups.c.name == name)).first()
    return None if row is None else _group_of(row)


def _group_of(row: Row[tuple[object, ...]]) -> Group:
    if row.query is not None:
        return SavedQuery(parse_query(row.query))
    return FixedGroup(frozenset(NAMES.validate_json(row.devices)))
