"""Touches a SQLite file: one writer at a time in this process, readers never wait."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, create_engine, event

if TYPE_CHECKING:
    from sqlalchemy.pool import ConnectionPoolEntry

BUSY_TIMEOUT_MS = 5000
# A page that many commits change is copied back once; 64 MB of pages.
WAL_PAGES = 16_000
# Of each connection, and there are as many as threads that ask; the system keeps the file's pages anyway.
CACHE_KB = 8_000


class SqliteFile:
    """A database for one server."""

    def __init__(self, path: Path) -> None:
        """Name the file; it is made at the first transaction."""
        self.shown = str(path)
        self.engine = create_engine(f"sqlite:///{path}", pool_size=20, hide_parameters=True)
        self._writer = threading.Lock()
        event.listen(self.engine, "connect", _configure)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection that sees one state of the database."""
        with self.engine.connect() as connection:
            # sqlite3 itself begins nothing for reads: each would see a state of its own.
            connection.exec_driver_sql("BEGIN")
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a connection for a change that nothing else is written beside."""
        with self._writer, self.engine.begin() as connection:
            # And too late for writes, and not at all for changes of tables.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection

    # A file has one writer at a time, whatever it writes.
    appending = writing


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
