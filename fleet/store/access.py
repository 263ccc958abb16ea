"""Keeps who may enter: API tokens and one-time login codes, as digests only."""

from __future__ import annotations

import hashlib
from datetime import datetime

from sqlalchemy import delete, select

from fleet.store.database import Database
from fleet.store.tables import login_codes, tokens


class AccessStore:
    """Secrets are random and long, so that a plain digest gives nothing away."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def add_token(self, token: str, name: str, now: datetime) -> None:
        """Let a token in from now on."""
        with self._database.writing() as connection:
            connection.execute(tokens.insert().values(sha256=_digest(token), name=name, created_at=now))

    def is_token(self, token: str) -> bool:
        """Say whether a token may enter."""
        with self._database.reading() as connection:
            return connection.execute(select(tokens.c.name).where(tokens.c.sha256 == _digest(token))).first() is not None

    def add_code(self, code: str, expires_at: datetime, now: datetime) -> None:
        """Let a code in once, until it expires."""
        with self._database.writing() as connection:
            connection.execute(delete(login_codes).where(login_codes.c.expires_at <= now))
            connection.execute(login_codes.insert().values(sha256=_digest(code), expires_at=expires_at))

    def redeem_code(self, code: str, now: datetime) -> bool:
        """Say whether a code may enter, and use it up."""
        key = (login_codes.c.sha256 == _digest(code)) & (login_codes.c.expires_at > now)
        with self._database.writing() as connection:
            return connection.execute(delete(login_codes).where(key)).rowcount == 1


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
