"""Takes what admins order of people: who may enter by which password, and in which role."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from fleet.core.roles import ROLE_BY_WORD, Role
from fleet.requests.access import NewPassword, NewRole, NewUser
from fleet.views.access import UserView


class People(Protocol):
    """Where people are kept."""

    def add(self, name: str, role: Role, password: str, now: datetime) -> None:
        """Let a person in from now on; raise PersonExistsError."""

    def all(self) -> tuple[UserView, ...]:
        """Return everybody."""

    def set_password(self, name: str, password: str, now: datetime) -> None:
        """Take another password; raise UnknownPersonError."""

    def set_role(self, name: str, role: Role, now: datetime) -> None:
        """Let a person do more or less; raise UnknownPersonError."""

    def remove(self, name: str) -> None:
        """Let a person in no more; raise UnknownPersonError."""


class Passwords(Protocol):
    """Who turns a password into what is kept of it."""

    def kept(self, password: str) -> str:
        """Return what is stored; raise PasswordError or TooBusyError."""


class PeopleDesk:
    """Where accounts are made and changed."""

    def __init__(self, people: People, passwords: Passwords) -> None:
        """Change nothing yet."""
        self._people = people
        self._passwords = passwords

    def users(self) -> tuple[UserView, ...]:
        """Return everybody who may sign in by a password."""
        return self._people.all()

    def add(self, new: NewUser, now: datetime) -> None:
        """Let a person in; raise PasswordError or PersonExistsError."""
        self._people.add(new.name, ROLE_BY_WORD[new.role], self._passwords.kept(new.password), now)

    def set_password(self, name: str, new: NewPassword, now: datetime) -> None:
        """Take another password, and end the person's sessions; raise PasswordError or UnknownPersonError."""
        self._people.set_password(name, self._passwords.kept(new.password), now)

    def set_role(self, name: str, new: NewRole, now: datetime) -> None:
        """Take another role, and end the person's sessions; raise UnknownPersonError."""
        self._people.set_role(name, ROLE_BY_WORD[new.role], now)

    def remove(self, name: str) -> None:
        """Let a person in no more, and end the sessions; raise UnknownPersonError."""
        self._people.remove(name)
