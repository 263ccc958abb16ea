"""Makes the secrets of a fleet at its first start, and finds them again at the next."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from contracts import codec
from fleet.connection import BrokerLogin, Connection, read_connection
from fleet.errors import NotConnectedError
from fleet.files import write_secret
from fleet.home import Home

ADMIN = "admin"


class Tokens(Protocol):
    """Who may use the API."""

    def add_token(self, token: str, name: str, now: datetime) -> None:
        """Let a token in from now on."""

    def is_token(self, token: str) -> bool:
        """Say whether a token may enter."""


@dataclass(frozen=True)
class Place:
    """Where a server can be reached."""

    url: str
    broker_host: str
    broker_port: int
    viewer: str


def connect_owner(home: Home, tokens: Tokens, place: Place, now: datetime) -> Connection:
    """Leave connection.json for the commands of this machine, with last time's secrets where they still hold.

    Beside it lies the same login for mosquitto_sub, which reads its options from $XDG_CONFIG_HOME/mosquitto_sub: nobody types a password.
    """
    try:
        old = read_connection(home.connection)
    except NotConnectedError:
        old = None
    token = old.token if old else ""
    if not tokens.is_token(token):
        token = secrets.token_urlsafe(32)
        tokens.add_token(token, ADMIN, now)
    password = old.broker.password if old and old.broker else secrets.token_urlsafe(32)
    login = BrokerLogin(host=place.broker_host, port=place.broker_port, username=place.viewer, password=password)
    connection = Connection(url=place.url, token=token, broker=login)
    write_secret(home.connection, codec.encode(connection))
    write_secret(home.mosquitto_sub, f"-h {login.host}\n-p {login.port}\n-u {login.username}\n-P {login.password}\n".encode())
    return connection


def session_secret(home: Home) -> str:
    """Return what signs the dashboard's sessions; the same after a restart, so that people stay logged in."""
    if not home.session_secret.exists():
        write_secret(home.session_secret, secrets.token_urlsafe(32).encode())
    return home.session_secret.read_text()
