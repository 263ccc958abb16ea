"""Opens the SQLite file: brings it to the newest shape, and hands out reading and writing transactions."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError

from fleet.errors import StoreError

if TYPE_CHECKING:
    from sqlalchemy.pool import ConnectionPoolEntry

BUSY_TIMEOUT_MS = 5000
# A page that many commits change is copied back once; 64 MB of pages.
WAL_PAGES = 16_000
CACHE_KB = 32_000


class Database:
    """One database file; one writer at a time, readers never wait."""

    def __init__(self, path: Path) -> None:
        """Open, or create, and migrate; raise StoreError."""
        self._path = path
        self._engine = create_engine(f"sqlite:///{path}", pool_size=20)
        self._writer = threading.Lock()
        event.listen(self._engine, "connect", _configure)
        with self.writing() as connection:
            _migrate(connection)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection that sees one state of the database."""
        with self._translated(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a connection whose changes are kept whole, or not at all when the block raises."""
        with self._writer, self._translated(), self._engine.begin() as connection:
            # sqlite3 itself begins too late for reads, and not at all for changes of tables.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()

    @property
    def engine(self) -> Engine:
        """What migrations and their tests look at."""
        return self._engine

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise StoreError(str(self._path), " ".join(str(error).split())[:300]) from error


def _configure(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    pragmas = (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        f"wal_autocheckpoint={WAL_PAGES}",
        f"cache_size={-CACHE_KB}",
    )
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}")


def _migrate(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
