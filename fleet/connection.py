"""How a command finds its server: the file that a running server leaves for its owner, or the environment."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel

from contracts import codec
from contracts.errors import MissingFileError
from contracts.grown import Grown
from contracts.small_files import read_bounded
from fleet.errors.client import NotConnectedError

SERVER_VARIABLE = "FIELDFARE_SERVER"
TOKEN_VARIABLE = "FIELDFARE_TOKEN"  # noqa: S105 - the name of a variable
CA_VARIABLE = "FIELDFARE_CA"
MAX_FILE_BYTES = 64 * 1024


class BrokerLogin(BaseModel, frozen=True):
    """How to listen to the broker, by files on this machine; the user may read and not write."""

    host: str
    port: int
    # The fleet authority's certificate, by which the broker is recognised.
    authority: Path
    # Key and certificate of the one who listens.
    identity: Path


class Connection(Grown):
    """Content of connection.json; `broker` is only known on the server's own machine."""

    url: str
    token: str
    # The fleet authority's certificate in PEM, by which a server elsewhere is recognised; without it the system's authorities count.
    ca: str | None = None
    broker: BrokerLogin | None = None


def read_connection(path: Path) -> Connection:
    """Read the file that a server left; raise NotConnectedError or InvalidDocumentError."""
    try:
        raw = read_bounded(path, MAX_FILE_BYTES)
    except MissingFileError as error:
        raise NotConnectedError(str(path)) from error
    return codec.decode(Connection, raw, name=str(path), max_bytes=MAX_FILE_BYTES)


def find_connection(path: Path) -> Connection:
    """Return the server that the environment names, or else the one that left the file at `path`."""
    url, token, ca_file = (os.environ.get(name) for name in (SERVER_VARIABLE, TOKEN_VARIABLE, CA_VARIABLE))
    if url and token:
        ca = read_bounded(Path(ca_file), MAX_FILE_BYTES).decode(errors="replace") if ca_file else None
        return Connection(url=url, token=token, ca=ca)
    return read_connection(path)
