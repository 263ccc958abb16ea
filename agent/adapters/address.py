"""Decides what every connection of this device to its broker has in common: where it goes, and by what the device is known there."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Protocol


class Identity(Protocol):
    """Who we are to the broker; asked again at each connection, so that a renewed certificate counts from the next one on."""

    def tls_context(self) -> ssl.SSLContext:
        """Return what shows our certificate and checks the broker's; raise OSError."""

    def client_id(self, line: str = "") -> str:
        """Return a name for one `line` of ours, such as `bulk`, that no other device can guess.

        Whoever connects by a name ends the connection that had it.
        """


@dataclass(frozen=True)
class BrokerAddress:
    """How every connection of this device is made."""

    host: str
    port: int
    keepalive_s: int
    identity: Identity

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"
