"""Opens the fleet's database, a SQLite file or one on a PostgreSQL server: brings it to the newest shape, and hands out transactions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from fleet.acting import under_way
from fleet.errors.store import DatabaseAwayError, StoreError
from fleet.store.chain import append
from fleet.store.place import PostgresUrl
from fleet.store.postgres import PostgresServer
from fleet.store.sqlite import SqliteFile
from fleet.store.version import is_newest


class Database:
    """One database; `Path` is a SQLite file."""

    def __init__(self, place: Path | PostgresUrl, *, is_as_found: bool = False) -> None:
        """Open, or create, and migrate, unless it is to stay as it is; raise StoreError, NewerDatabaseError or OlderDatabaseError."""
        self._kind = PostgresServer(place) if isinstance(place, PostgresUrl) else SqliteFile(place)
        with ExitStack() as stack:
            stack.callback(self.close)
            if is_as_found:
                with self.reading() as connection:
                    _expect_newest(connection, self._kind.shown)
            else:
                with self.writing() as connection:
                    _bring_to_newest(connection, self._kind.shown)
            stack.pop_all()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection that sees one state of the database."""
        with self._translated(), self._kind.reading() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a connection whose changes are kept whole, or not at all when the block raises; what it read stays true until then.

        The first change of an act that is under way keeps its row of the audit log, too.
        """
        act = under_way()
        with self._translated(), self._kind.writing() as connection:
            yield connection
            if act is not None:
                append(connection, act)
        if act is not None:
            act.is_kept = True

    @contextmanager
    def appending(self) -> Iterator[Connection]:
        """Yield one like `writing`, for changes that are right whatever others write meanwhile: on PostgreSQL they need not wait."""
        with self._translated(), self._kind.appending() as connection:
            yield connection

    def check_point(self) -> None:
        """Spare commits what can be done beside them; raise StoreError."""
        with self._translated():
            self._kind.check_point()

    def close(self) -> None:
        """Let go of it."""
        self._kind.engine.dispose()

    @property
    def engine(self) -> Engine:
        """What migrations, backups and their tests look at."""
        return self._kind.engine

    @property
    def shown(self) -> str:
        """Where it lies, without secrets."""
        return self._kind.shown

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, self.engine.dialect.loaded_dbapi.Error) as error:
            # Many rows go past SQLAlchemy. The driver's own words: SQLAlchemy's add the statement.
            reason = getattr(error, "orig", None) or error
            found = " ".join(str(reason).split())[:300]
            kind = DatabaseAwayError if self._kind.is_away(reason) else StoreError
            raise kind(self._kind.shown, found) from error


def _bring_to_newest(connection: Connection, shown: str) -> None:
    if not is_newest(connection):
        from fleet.store.steps import migrate  # a server whose database is as it left it starts without them

        migrate(connection, shown)


def _expect_newest(connection: Connection, shown: str) -> None:
    if not is_newest(connection):
        from fleet.store.steps import refuse_other

        refuse_other(connection, shown)
