"""Decides which of several servers leads: the one whose session holds a lock of the PostgreSQL database, for as long as it lives."""

from __future__ import annotations

import threading
from contextlib import ExitStack

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from fleet.errors.store import StoreError
from fleet.store.database import Database
from fleet.store.postgres import LEADER_LOCK

CHECK_TIMEOUT_MS = 3000


class SoleLeader:
    """The lead of a server that has its folder for itself."""

    def take(self) -> bool:
        """Nobody else is there."""
        return True

    def is_held(self) -> bool:
        """Nor ever will be."""
        return True

    def give_up(self) -> None:
        """There is nobody to leave it to."""


class SharedLeader:
    """The lead among servers of one PostgreSQL database: when a server dies, its session ends and the lock is free at once.

    When its machine dies, the database notices by the session's keep-alives (`postgres.KEEPALIVES`).
    """

    def __init__(self, database: Database) -> None:
        """Nobody leads before `take`."""
        self._database = database
        self._session: Connection | None = None
        self._one = threading.Lock()

    def take(self) -> bool:
        """Lead from now on, if nobody does; raise StoreError when the database cannot be asked."""
        with self._one:
            assert self._session is None, "who leads does not ask to"
            try:
                with ExitStack() as stack:
                    session = stack.enter_context(self._database.engine.connect()).execution_options(isolation_level="AUTOCOMMIT")
                    # Not the pool's any more: closing it ends the session.
                    session.detach()
                    session.execute(text(f"SET statement_timeout = {CHECK_TIMEOUT_MS}"))
                    if session.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": LEADER_LOCK}).scalar_one():
                        stack.pop_all()
                        self._session = session
            except SQLAlchemyError as error:
                raise StoreError(self._database.shown, f"no lead: {getattr(error, 'orig', None) or error}"[:300]) from error
            return self._session is not None

    def is_held(self) -> bool:
        """Say whether this server still leads; once it does not, it has to `take` the lead again."""
        with self._one:
            if self._session is None:
                return False
            try:
                self._session.execute(text("SELECT 1"))
            except SQLAlchemyError:
                self._let_go()
                return False
            return True

    def give_up(self) -> None:
        """Leave the lead to another."""
        with self._one:
            self._let_go()

    def _let_go(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            session.close()
