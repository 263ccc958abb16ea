"""Lets people into the dashboard: by name and password, or by a link that the server gave to a token; each way in and out is told."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from fleet.acting import Acting, acting
from fleet.core.roles import Caller
from fleet.errors.people import LoginRefusedError, PasswordError


class People(Protocol):
    """Who may sign in."""

    def find(self, name: str) -> tuple[Caller, str] | None:
        """Return who goes by a name, and what is kept of the password."""

    def set_password(self, name: str, password: str, now: datetime) -> None:
        """Keep another password, and end that person's sessions; raise UnknownPersonError."""


class Passwords(Protocol):
    """Who compares passwords."""

    def is_right(self, kept: str | None, password: str) -> bool:
        """Say whether a password is the kept one; raise TooBusyError."""

    def kept(self, password: str) -> str:
        """Return what is stored of a new one; raise PasswordError or TooBusyError."""


class Failures(Protocol):
    """Who counts attempts."""

    def begin(self, name: str, address: str, now: datetime) -> None:
        """Count an attempt; raise TooManyLoginsError."""

    def succeeded(self, name: str, address: str, now: datetime) -> None:
        """Forget it again."""


class Sessions(Protocol):
    """Where browsers are known by what their cookies hold."""

    def open(self, key: str, caller: Caller, now: datetime) -> None:
        """Sign a browser in."""

    def caller_of(self, key: str, now: datetime) -> Caller | None:
        """Return who is signed in."""

    def end(self, key: str) -> None:
        """Sign a browser out."""


class Links(Protocol):
    """One-time codes."""

    def redeem_code(self, code: str, now: datetime) -> Caller | None:
        """Return who asked for a code, and use it up; None when it may not enter."""


class Log(Protocol):
    """The audit log."""

    def add(self, act: Acting) -> None:
        """Keep an act that changes nothing else."""


@dataclass(frozen=True)
class Registers:
    """What is known of those who come."""

    people: People
    failures: Failures
    sessions: Sessions
    links: Links
    log: Log


class FrontDesk:
    """The way in and out; every method may block."""

    def __init__(self, registers: Registers, passwords: Passwords, now: Callable[[], datetime]) -> None:
        """Know whom to ask; `now` gives aware UTC."""
        self._known = registers
        self._passwords = passwords
        self._now = now

    def sign_in(self, name: str, password: str, address: str) -> str:
        """Return what the browser shows from now on; raise TooManyLoginsError, LoginRefusedError or TooBusyError."""
        now = self._now()
        self._known.failures.begin(name, address, now)
        found = self._known.people.find(name)
        if not self._passwords.is_right(None if found is None else found[1], password) or found is None:
            # A name that nobody has may be a password in the wrong field: it is not told.
            who = "nobody" if found is None else found[0].who
            self._known.log.add(Acting(now, f"dashboard {address}", "login.password", who, outcome="refused"))
            raise LoginRefusedError
        self._known.failures.succeeded(name, address, now)
        return self.admit(found[0], "login.password", address)

    def redeem(self, code: str, address: str) -> str | None:
        """Trade a link's code for a session; None when it is unknown, expired or was used."""
        caller = self._known.links.redeem_code(code, self._now())
        return None if caller is None else self.admit(caller, "login.link", address)

    def admit(self, caller: Caller, what: str, address: str, detail: str = "") -> str:
        """Open a session for somebody who proved who he is, and return what the browser shows from now on."""
        key, now = secrets.token_urlsafe(32), self._now()
        with acting(Acting(now, f"dashboard {address}", what, caller.who, caller.role.word, detail=detail)):
            self._known.sessions.open(key, caller, now)
        return key

    def refuse(self, what: str, who: str, address: str, detail: str) -> None:
        """Tell of somebody who did not get in."""
        self._known.log.add(Acting(self._now(), f"dashboard {address}", what, who, outcome="refused", detail=detail))

    def caller_of(self, key: str) -> Caller | None:
        """Return who is signed in; None for a session that has ended or never was."""
        return self._known.sessions.caller_of(key, self._now())

    def sign_out(self, key: str, address: str) -> None:
        """End a session, in every tab."""
        now = self._now()
        caller = self._known.sessions.caller_of(key, now)
        if caller is not None:
            with acting(Acting(now, f"dashboard {address}", "logout", caller.who, caller.role.word)):
                self._known.sessions.end(key)

    def change_password(self, key: str, old: str, new: str, address: str) -> str:
        """Take the own password of whoever is signed in by `key`, end that person's sessions, and return the key of a new one.

        Raises TooManyLoginsError, LoginRefusedError for an old password that is not the kept one, PasswordError or TooBusyError.
        """
        now, known = self._now(), self._known
        caller = known.sessions.caller_of(key, now)
        if caller is None or caller.kind != "user":
            raise LoginRefusedError
        # Whoever finds an open page must not be able to guess.
        known.failures.begin(caller.name, address, now)
        act = Acting(now, f"dashboard {address}", "users.password.set", caller.who, caller.role.word, subject=caller.name)
        found = known.people.find(caller.name)
        try:
            if not self._passwords.is_right(None if found is None else found[1], old):
                raise LoginRefusedError
            known.failures.succeeded(caller.name, address, now)
            kept = self._passwords.kept(new)
        except (LoginRefusedError, PasswordError):
            act.outcome = "refused"
            known.log.add(act)
            raise
        following = secrets.token_urlsafe(32)
        with acting(act):
            known.people.set_password(caller.name, kept, now)
            known.sessions.open(following, caller, now)
        return following
