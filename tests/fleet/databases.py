"""The databases on which every store has to hold: a SQLite file, and one on a real PostgreSQL server."""

from __future__ import annotations

import atexit
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from fleet.store.database import Database
from fleet.store.place import PostgresUrl
from tests.live.postgres import WHY_NOT, Postgres

KINDS = ("sqlite", "postgres")


@cache
def postgres() -> Postgres:
    """Return the server of this run, which ends with it; skip where none is installed."""
    if WHY_NOT:
        pytest.skip(WHY_NOT)
    running = ExitStack()
    atexit.register(running.close)
    return running.enter_context(Postgres())


@cache
def _migrated() -> PostgresUrl:
    """Return a database of the newest shape, from which others are copied: faster than to migrate each."""
    place = postgres().new_database()
    Database(place).close()
    return place


def new_place(kind: str, folder: Path, *, is_empty: bool = False) -> Path | PostgresUrl:
    """Return where a new database may be opened, with the newest shape or empty."""
    if kind == "sqlite":
        return folder / "fleet.db"
    return postgres().new_database(None if is_empty else _migrated())
