"""Keeps who may enter: API tokens with their roles, and one-time login codes, as digests only."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Row, delete, select

from fleet.core.roles import ROLE_BY_WORD, Caller, Role
from fleet.errors.enrolment import TokenExistsError, UnknownTokenNameError
from fleet.store.credentials import digest
from fleet.store.database import Database
from fleet.store.sessions import end_all_of
from fleet.store.tables import login_codes, tokens
from fleet.views.access import TokenView

KIND = "token"


class AccessStore:
    """Secrets are 256 random bits, so that a plain SHA-256 gives nothing away; slow hashes are for what people choose themselves."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def add_token(self, token: str, name: str, role: Role, expires_at: datetime | None, now: datetime) -> None:
        """Let a token in from now on; raise TokenExistsError for a name that is taken."""
        row = {"sha256": digest(token), "name": name, "role": role.word, "created_at": now, "expires_at": expires_at}
        with self._database.writing() as connection:
            if connection.execute(select(tokens.c.name).where(tokens.c.name == name)).first() is not None:
                raise TokenExistsError(name)
            connection.execute(tokens.insert().values(row))

    def caller_of(self, token: str, now: datetime) -> Caller | None:
        """Return who comes with a token; None when it may not even enter."""
        with self._database.reading() as connection:
            row = connection.execute(select(tokens).where(tokens.c.sha256 == digest(token))).first()
        return None if row is None else _caller_of(row, now)

    def tokens(self, limit: int, after: str = "") -> tuple[TokenView, ...]:
        """Return tokens by name, without their secrets, those after a name."""
        with self._database.reading() as connection:
            rows = connection.execute(select(tokens).where(tokens.c.name > after).order_by(tokens.c.name).limit(limit))
            return tuple(TokenView(name=row.name, role=row.role, created_at=row.created_at, expires_at=row.expires_at) for row in rows)

    def revoke_token(self, name: str) -> None:
        """Let a token in no more, and end the sessions that its links opened; raise UnknownTokenNameError."""
        with self._database.writing() as connection:
            if connection.execute(delete(tokens).where(tokens.c.name == name)).rowcount == 0:
                raise UnknownTokenNameError(name)
            end_all_of(connection, KIND, name)

    def add_code(self, code: str, token: str, expires_at: datetime, now: datetime) -> None:
        """Let a code in once, until it expires, as whoever comes with the token of that name."""
        with self._database.writing() as connection:
            connection.execute(delete(login_codes).where(login_codes.c.expires_at <= now))
            connection.execute(login_codes.insert().values(sha256=digest(code), token=token, expires_at=expires_at))

    def redeem_code(self, code: str, now: datetime) -> Caller | None:
        """Return who asked for a code, and use it up; None for one that is unknown, expired or used, or whose token is no more."""
        key = (login_codes.c.sha256 == digest(code)) & (login_codes.c.expires_at > now)
        with self._database.writing() as connection:
            name = connection.execute(delete(login_codes).where(key).returning(login_codes.c.token)).scalar()
            row = connection.execute(select(tokens).where(tokens.c.name == name)).first()
        return None if row is None else _caller_of(row, now)


def _caller_of(row: Row[tuple[object, ...]], now: datetime) -> Caller | None:
    is_over = row.expires_at is not None and row.expires_at <= now
    return None if is_over else Caller(row.name, ROLE_BY_WORD[row.role], KIND)
