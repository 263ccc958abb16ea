"""Touches a PostgreSQL server: several fleet servers share it, and write one after the other where it matters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from fleet.store.place import PostgresUrl

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry

CONNECT_TIMEOUT_S = 3
# Of all the pool's connections, none came free for so long.
POOL_TIMEOUT_S = 10
# Every wait ends: for another's lock, for an answer, and for one of ours that forgot its transaction.
LIMITS_MS = {"lock_timeout": 10_000, "statement_timeout": 60_000, "idle_in_transaction_session_timeout": 60_000}
# Either side notices within 7 s that the other's machine is gone.
KEEPALIVES = {"tcp_keepalives_idle": 3, "tcp_keepalives_interval": 2, "tcp_keepalives_count": 2}
OWN_KEEPALIVES = {name.removeprefix("tcp_"): value for name, value in KEEPALIVES.items()}
# The same for what was said and is not acknowledged, in milliseconds.
OWN_KEEPALIVES["tcp_user_timeout"] = 7000
# The servers of a fleet agree on these numbers, which name locks of this database.
WRITER_LOCK = 0x6669_656C_6466_0001
LEADER_LOCK = 0x6669_656C_6466_0002


class PostgresServer:
    """A database for several servers."""

    def __init__(self, place: PostgresUrl) -> None:
        """Name the database; the first transaction connects."""
        from fleet.store.pulse import Door  # a server whose database is a file starts without the driver

        self.shown = place.shown
        arguments = {"connect_timeout": CONNECT_TIMEOUT_S, "application_name": "fieldfare", **OWN_KEEPALIVES}
        self.engine = create_engine(
            place.url, pool_size=20, pool_timeout=POOL_TIMEOUT_S, pool_pre_ping=True, hide_parameters=True, connect_args=arguments
        )
        self._reader = self.engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        event.listen(self.engine, "do_connect", Door().connect)
        event.listen(self.engine, "connect", _configure)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection that sees one state of the database."""
        with self._reader.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a connection for a change; of all servers' changes one is made at a time, so that what it reads stays true."""
        with self.engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": WRITER_LOCK})
            yield connection

    @contextmanager
    def appending(self) -> Iterator[Connection]:
        """Yield a connection for a change that is right whatever else is written meanwhile."""
        with self.engine.begin() as connection:
            yield connection

    def check_point(self) -> None:
        """Nothing: the server does so by itself."""

    def is_away(self, error: Exception) -> bool:
        """Say whether the server could not be reached, or took too long: the same may go well in a while."""
        return isinstance(error, (self.engine.dialect.loaded_dbapi.OperationalError, PoolTimeoutError))


def _configure(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    for name, value in {**LIMITS_MS, **KEEPALIVES}.items():
        cursor.execute(f"SET {name} = {value}")
    cursor.close()
    connection.commit()
