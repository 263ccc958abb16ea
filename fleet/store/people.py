"""Keeps the people who sign in by a password; whatever changes a person ends that person's sessions in the same change."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, select, update

from fleet.core.roles import ROLE_BY_WORD, Caller, Role
from fleet.errors.people import PersonExistsError, UnknownPersonError
from fleet.store.database import Database
from fleet.store.sessions import end_all_of
from fleet.store.tables import people
from fleet.views.access import UserView

KIND = "user"


class PeopleStore:
    """Names are told apart by case."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def add(self, name: str, role: Role, password: str, now: datetime) -> None:
        """Let a person in from now on, by what is kept of the password; raise PersonExistsError."""
        with self._database.writing() as connection:
            if connection.execute(select(people.c.name).where(people.c.name == name)).first() is not None:
                raise PersonExistsError(name)
            connection.execute(people.insert().values(name=name, role=role.word, password=password, added_at=now, changed_at=now))

    def all(self) -> tuple[UserView, ...]:
        """Return everybody, in the order of names."""
        with self._database.reading() as connection:
            rows = connection.execute(select(people).order_by(people.c.name))
            return tuple(UserView(name=row.name, role=row.role, added_at=row.added_at, changed_at=row.changed_at) for row in rows)

    def find(self, name: str) -> tuple[Caller, str] | None:
        """Return who goes by a name, and what is kept of the password."""
        with self._database.reading() as connection:
            row = connection.execute(select(people).where(people.c.name == name)).first()
        return None if row is None else (Caller(row.name, ROLE_BY_WORD[row.role], KIND), row.password)

    def set_password(self, name: str, password: str, now: datetime) -> None:
        """Take another password; raise UnknownPersonError."""
        self._change(name, {"password": password, "changed_at": now})

    def set_role(self, name: str, role: Role, now: datetime) -> None:
        """Let a person do more or less; raise UnknownPersonError."""
        self._change(name, {"role": role.word, "changed_at": now})

    def remove(self, name: str) -> None:
        """Let a person in no more; raise UnknownPersonError."""
        with self._database.writing() as connection:
            _check(connection.execute(delete(people).where(people.c.name == name)).rowcount, name, connection)

    def _change(self, name: str, values: dict[str, object]) -> None:
        with self._database.writing() as connection:
            _check(connection.execute(update(people).where(people.c.name == name).values(values)).rowcount, name, connection)


def _check(changed: int, name: str, connection: Connection) -> None:
    if not changed:
        raise UnknownPersonError(name)
    end_all_of(connection, KIND, name)
