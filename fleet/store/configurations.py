"""Reads and writes the revisions of each device's settings, and who made them."""

from __future__ import annotations

from pydantic import TypeAdapter
from sqlalchemy import Row, delete, select

from contracts import codec
from contracts.configuration import Configuration, Settings
from fleet.core.configurations import Revision
from fleet.store.database import Database
from fleet.store.tables import configurations

# Of each device, the newest.
MAX_REVISIONS = 100

_SETTINGS: TypeAdapter[Settings] = TypeAdapter(Settings)


class ConfigurationStore:
    """The history of all settings."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def add(self, device: str, revision: Revision) -> None:
        """Keep a revision; one of the same number was never wished, and is replaced."""
        number = revision.configuration.revision
        own = configurations.c.device == device
        row = {
            "device": device,
            "revision": number,
            "settings": codec.canonical(revision.configuration.settings).decode(),
            "author": revision.author,
            "at": revision.at,
        }
        stale = own & ((configurations.c.revision == number) | (configurations.c.revision <= number - MAX_REVISIONS))
        with self._database.writing() as connection:
            connection.execute(delete(configurations).where(stale))
            connection.execute(configurations.insert().values(row))

    def get(self, device: str, revision: int) -> Revision | None:
        """Return one revision; None when it is not known here."""
        key = (configurations.c.device == device) & (configurations.c.revision == revision)
        with self._database.reading() as connection:
            row = connection.execute(select(configurations).where(key)).first()
        return None if row is None else _revision_of(row)


def _revision_of(row: Row[tuple[object, ...]]) -> Revision:
    configuration = Configuration(revision=row.revision, settings=_SETTINGS.validate_json(row.settings))
    return Revision(configuration, row.author, row.at)
