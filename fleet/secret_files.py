"""Makes the secrets of a fleet at its first start, and finds them again at the next."""

from __future__ import annotations

import secrets
from contextlib import suppress
from datetime import datetime
from typing import Protocol

from contracts import codec
from contracts.errors import InvalidDocumentError
from fleet.connection import BrokerLogin, Connection, read_connection
from fleet.core.roles import Caller, Role
from fleet.errors.client import NotConnectedError
from fleet.errors.enrolment import UnknownTokenNameError
from fleet.files import write_secret
from fleet.home import Home

# The name of the token in connection.json.
OWNER = "owner"


class Tokens(Protocol):
    """Who may use the API."""

    def add_token(self, token: str, name: str, role: Role, expires_at: datetime | None, now: datetime) -> None:
        """Let a token in from now on."""

    def caller_of(self, token: str, now: datetime) -> Caller | None:
        """Return who comes with a token; None when it may not even enter."""

    def revoke_token(self, name: str) -> None:
        """Let a token in no more; raise UnknownTokenNameError."""


def connect_owner(home: Home, tokens: Tokens, url: str, login: BrokerLogin, now: datetime) -> Connection:
    """Leave connection.json for the commands of this machine, with last time's token where it still holds.

    Beside it lies the same login for mosquitto_sub, which reads its options from $XDG_CONFIG_HOME/mosquitto_sub: nobody types paths.
    """
    try:
        token = read_connection(home.connection).token
    except (NotConnectedError, InvalidDocumentError):  # none yet, or one of an older shape
        token = ""
    known = tokens.caller_of(token, now)
    if known is None or known.role is not Role.ADMIN:
        token = secrets.token_urlsafe(32)
        with suppress(UnknownTokenNameError):
            tokens.revoke_token(OWNER)
        tokens.add_token(token, OWNER, Role.ADMIN, None, now)
    connection = Connection(url=url, token=token, broker=login)
    write_secret(home.connection, codec.encode(connection))
    options = {"-h": login.host, "-p": login.port, "--cafile": login.authority, "--cert": login.identity, "--key": login.identity}
    write_secret(home.mosquitto_sub, "".join(f"{option} {value}\n" for option, value in options.items()).encode())
    return connection


def session_secret(home: Home) -> str:
    """Return what signs the dashboard's sessions; the same after a restart, so that people stay logged in."""
    if not home.session_secret.exists():
        write_secret(home.session_secret, secrets.token_urlsafe(32).encode())
    return home.session_secret.read_text()
