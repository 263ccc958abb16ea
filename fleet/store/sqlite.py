"""Touches a SQLite file: one writer at a time in this process, readers never wait."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

if TYPE_CHECKING:
    from sqlalchemy.pool import ConnectionPoolEntry

BUSY_TIMEOUT_MS = 5000
# A commit that finds so many pages in the log copies them back itself, and whoever waits for it waits: 256 MB. Only where nobody else does.
WAL_PAGES = 64_000
# So many pages are copied back while nobody may write: some milliseconds, after which the log begins anew.
LAST_PAGES = 2_000
# Passes that end further behind are repeated, for writers go on meanwhile.
PASSES = 4
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

    def check_point(self) -> None:
        """Copy what was committed from the log to its place, beside readers and writers, so that no commit has to; raise sqlite3.Error.

        Writers wait for the end of it alone: a log in which there is always something new would grow for ever.
        """
        with closing(sqlite3.connect(self.shown, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous=NORMAL")
            before = 0
            for _ in range(PASSES):
                pages = _copy_back(connection)
                if pages - before <= LAST_PAGES:  # about as many came meanwhile
                    break
                before = pages
            with self._writer:
                _copy_back(connection)

    def is_away(self, error: Exception) -> bool:
        """Say whether another had the file for too long: the same may go well in a while."""
        return isinstance(error, PoolTimeoutError) or "database is locked" in str(error)

    # A file has one writer at a time, whatever it writes.
    appending = writing


def _copy_back(connection: sqlite3.Connection) -> int:
    """Copy back what no reader still needs from the log; return of how many pages the log was when that began."""
    _, pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return int(pages)


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
