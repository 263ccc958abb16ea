"""Decides what a server's address means: where to connect, and whether a token may travel there."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from contracts.errors import InvalidDocumentError
from fleet.errors.client import ClearTextError

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
USUAL_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class ServerUrl:
    """An address in its parts; the path stands before every path of the API, and ends without a slash."""

    text: str
    is_tls: bool
    host: str
    port: int
    path: str

    def __str__(self) -> str:
        """Return it as it was given."""
        return self.text


def parse_url(text: str) -> ServerUrl:
    """Read an address; raise InvalidDocumentError, or ClearTextError where a token would travel readably."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port or USUAL_PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise InvalidDocumentError("connection", "url", "an address such as https://fleet.example:8443", repr(text)) from error
    if parts.scheme == "http" and host not in LOOPBACK_HOSTS:
        raise ClearTextError(text)
    if parts.scheme not in USUAL_PORTS or not host:
        raise InvalidDocumentError("connection", "url", "an address such as https://fleet.example:8443", repr(text))
    return ServerUrl(text, parts.scheme == "https", host, port, parts.path.rstrip("/"))
