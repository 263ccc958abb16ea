"""Keeps which browsers are signed in, by digests of what their cookies hold, until they go idle, grow old or are turned out."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, or_, select, update

from fleet.core.roles import ROLE_BY_WORD, Caller
from fleet.store.credentials import digest
from fleet.store.database import Database
from fleet.store.tables import sessions

# A day at work, whatever happens; and less when no page was open for a while.
LIFE = timedelta(hours=12)
IDLE = timedelta(hours=1)
# How exactly it is known when a session was last used: each page asks every other second, and most of that need not be written.
SEEN_EVERY = timedelta(minutes=1)


class SessionStore:
    """What a cookie holds is 256 random bits, so that a plain digest gives nothing away."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def open(self, key: str, caller: Caller, now: datetime) -> None:
        """Sign a browser in; forget those that have ended."""
        row = {"kind": caller.kind, "name": caller.name, "role": caller.role.word, "opened_at": now, "seen_at": now, "ends_at": now + LIFE}
        with self._database.writing() as connection:
            over = or_(sessions.c.ends_at <= now, sessions.c.seen_at <= now - IDLE)
            connection.execute(delete(sessions).where(over))
            connection.execute(sessions.insert().values(sha256=digest(key), **row))

    def caller_of(self, key: str, now: datetime) -> Caller | None:
        """Return who is signed in; None for a session that has ended or never was."""
        with self._database.reading() as connection:
            row = connection.execute(select(sessions).where(sessions.c.sha256 == digest(key))).first()
        if row is None or now >= row.ends_at or now >= row.seen_at + IDLE:
            return None
        if now >= row.seen_at + SEEN_EVERY:
            with self._database.appending() as connection:
                connection.execute(update(sessions).where(sessions.c.sha256 == digest(key), sessions.c.seen_at < now).values(seen_at=now))
        return Caller(row.name, ROLE_BY_WORD[row.role], row.kind)

    def end(self, key: str) -> None:
        """Sign a browser out, in every tab."""
        with self._database.writing() as connection:
            connection.execute(delete(sessions).where(sessions.c.sha256 == digest(key)))


def end_all_of(connection: Connection, kind: str, name: str) -> None:
    """Sign somebody out wherever he is signed in, within a change that takes away what let him in."""
    connection.execute(delete(sessions).where(sessions.c.kind == kind, sessions.c.name == name))
