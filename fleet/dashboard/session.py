"""Decides who may look: a one-time code opens a session, a signed cookie carries it, and it ends by itself."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fleet.core.roles import Caller

# A day at work; the cookie's signature is refused after this, whatever the browser keeps.
SESSION_S = 12 * 3600
COOKIE = "fieldfare_session"
MAX_CODE_CHARS = 200
_KEY = "login"


@dataclass(frozen=True)
class Login:
    """One signed-in browser, and the name its user goes by; `until` is in seconds since the epoch."""

    id: str
    until: float
    name: str


class Sessions:
    """Opens, recognises and ends sessions."""

    def __init__(
        self, redeem_code: Callable[[str], Caller | None], named: Callable[[str], Caller | None], now: Callable[[], float] = time.time
    ) -> None:
        """`redeem_code` says once for each code whose it is, `named` what somebody may do now; `now` gives seconds since the epoch."""
        self._redeem_code = redeem_code
        self._named = named
        self._now = now
        # Signed-out sessions whose cookie a thief could still show; each is forgotten when it would have ended anyway.
        self._ended: dict[str, float] = {}

    def redeem(self, code: str) -> Login | None:
        """Trade a code for a session; None when the code is unknown, expired or was used. May block."""
        caller = self._redeem_code(code) if 0 < len(code) <= MAX_CODE_CHARS else None
        return None if caller is None else Login(secrets.token_hex(8), self._now() + SESSION_S, caller.name)

    def is_open(self, login: Login | None) -> bool:
        """Say whether a session may still see anything."""
        return login is not None and self._now() < login.until and login.id not in self._ended

    def caller_of(self, login: Login | None) -> Caller | None:
        """Return who is at the browser, and in which role; None for nobody who may still enter. May block."""
        return self._named(login.name) if login is not None and self.is_open(login) else None

    def end(self, login: Login) -> None:
        """Sign out, in every tab."""
        now = self._now()
        self._ended = {id_: until for id_, until in self._ended.items() if until > now} | {login.id: login.until}


def write_login(cookie: dict[str, Any], login: Login) -> None:
    """Put a session into the cookie's content."""
    cookie[_KEY] = {"id": login.id, "until": login.until, "name": login.name}


def read_login(cookie: Mapping[str, Any]) -> Login | None:
    """Return the session in the cookie's content, which its signature vouches for."""
    found = cookie.get(_KEY)
    # A cookie of an earlier release has no name in it: whose it is, is not known.
    return Login(found["id"], found["until"], found["name"]) if found and "name" in found else None
