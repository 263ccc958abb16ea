"""Reads and writes the revisions of each device's settings, and who made them."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import TypeAdapter
from sqlalchemy import Row, bindparam, delete, select

from contracts import codec
from contracts.configuration import Configuration
from contracts.settings import Settings
from fleet.core.configurations import Revision
from fleet.store.database import Database
from fleet.store.tables import configurations

# Of each device, the newest.
MAX_REVISIONS = 100

_STALE = delete(configurations).where(
    configurations.c.device == bindparam("of"),
    (configurations.c.revision == bindparam("to")) | (configurations.c.revision <= bindparam("to") - MAX_REVISIONS),
)
_SETTINGS: TypeAdapter[Settings] = TypeAdapter(Settings)


class ConfigurationStore:
    """The history of all settings."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def add_all(self, revisions: Mapping[str, Revision]) -> None:
        """Keep a revision of each device; one of the same number was never wished, and is replaced."""
        if revisions:
            with self._database.writing() as connection:
                connection.execute(_STALE, [{"of": device, "to": each.configuration.revision} for device, each in revisions.items()])
                connection.execute(configurations.insert(), [_columns_of(device, each) for device, each in revisions.items()])

    def get(self, device: str, revision: int) -> Revision | None:
        """Return one revision; None when it is not known here."""
        key = (configurations.c.device == device) & (configurations.c.revision == revision)
        with self._database.reading() as connection:
            row = connection.execute(select(configurations).where(key)).first()
        return None if row is None else _revision_of(row)


def _revision_of(row: Row[tuple[object, ...]]) -> Revision:
    configuration = Configuration(revision=row.revision, settings=_SETTINGS.validate_json(row.settings))
    return Revision(configuration, row.author, row.at)


def _columns_of(device: str, revision: Revision) -> dict[str, object]:
    return {
        "device": device,
        "revision": revision.configuration.revision,
        "settings": codec.canonical(revision.configuration.settings).decode(),
        "author": revision.author,
        "at": revision.at,
    }
