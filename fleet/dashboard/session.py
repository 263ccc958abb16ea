"""Who is at a browser: a signed cookie carries a random key, and the server knows whose it is and until when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from fleet.core.roles import Caller

# The browser forgets the cookie then; the server ends the session earlier where nobody uses it.
SESSION_S = 12 * 3600
COOKIE = "fieldfare_session"
MAX_CODE_CHARS = 200
_KEY = "key"


@dataclass(frozen=True)
class Login:
    """What a browser shows; it is nobody's until the server says whose."""

    key: str = field(repr=False)


@dataclass(frozen=True)
class Visitor:
    """Who may be at a page: what the browser shows, and the address that it comes from."""

    login: Login | None
    address: str


class FrontDesk(Protocol):
    """Who lets people in and out; every method may block."""

    def sign_in(self, name: str, password: str, address: str) -> str:
        """Return a session's key; raise TooManyLoginsError, LoginRefusedError or TooBusyError."""

    def redeem(self, code: str, address: str) -> str | None:
        """Trade a one-time code for a session's key; None when it is unknown, expired or was used."""

    def caller_of(self, key: str) -> Caller | None:
        """Return who is signed in."""

    def sign_out(self, key: str, address: str) -> None:
        """End a session, in every tab."""

    def change_password(self, key: str, old: str, new: str, address: str) -> str:
        """Take the own password of whoever is signed in by `key`, end that person's sessions, and return the key of a new one.

        Raises LoginRefusedError, TooManyLoginsError, PasswordError or TooBusyError.
        """


class OpenIdDesk(Protocol):
    """Who sends people to an identity provider and takes them back; every method may block."""

    def begin(self, browser: str, scheme: str) -> str:
        """Return where to send a browser that is known by `browser`; raise OpenIdError."""

    def finish(self, browser: str, returned: Mapping[str, str], address: str) -> str:
        """Return a session's key for somebody who comes back; raise OpenIdError."""

    def way_out(self, scheme: str) -> str | None:
        """Return where somebody can sign out of the provider, too; raise OpenIdError."""


class Sessions:
    """Asks the front desk what it has to know; every method may block."""

    def __init__(self, desk: FrontDesk, openid: OpenIdDesk | None = None) -> None:
        """Keep nothing here, so that whoever is turned out is out at once."""
        self.desk = desk
        self.openid = openid

    def redeem(self, code: str, address: str) -> Login | None:
        """Trade a code for a session; one of a length that no code has is not even asked for."""
        key = self.desk.redeem(code, address) if 0 < len(code) <= MAX_CODE_CHARS else None
        return None if key is None else Login(key)

    def caller_of(self, login: Login | None) -> Caller | None:
        """Return who is at the browser, and in which role; None when the session has ended."""
        return None if login is None else self.desk.caller_of(login.key)

    def is_open(self, login: Login | None) -> bool:
        """Say whether a session may still see anything."""
        return self.caller_of(login) is not None


def write_login(cookie: dict[str, Any], login: Login) -> None:
    """Put a session into the cookie's content, in the place of whatever was there."""
    cookie.clear()
    cookie[_KEY] = login.key


def read_login(cookie: Mapping[str, Any]) -> Login | None:
    """Return the session in the cookie's content."""
    key = cookie.get(_KEY)
    return Login(key) if isinstance(key, str) else None
