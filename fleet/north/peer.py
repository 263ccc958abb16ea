"""Who showed a certificate: the door puts it into a request's scope, and routes for devices read it there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from fastapi import Request

from fleet.errors.client import UnauthorizedError

# The key of the scope.
PEER = "fieldfare.peer"


@dataclass(frozen=True)
class Peer:
    """What a certificate of the fleet's authority says; `serial` is in lower-case hex."""

    name: str
    serial: str


class Devices(Protocol):
    """Knows the certificates that are good."""

    def is_good(self, device: str, serial: str, now: datetime) -> bool:
        """Say whether the device was enrolled with this certificate and neither has ended or been revoked."""


def device_check(devices: Devices, now: Callable[[], datetime]) -> Callable[[Request], None]:
    """Return the dependency that lets devices in by their certificates; it raises UnauthorizedError."""

    def check(request: Request) -> None:
        peer = request.scope.get(PEER)
        if not isinstance(peer, Peer) or not devices.is_good(peer.name, peer.serial, now()):
            raise UnauthorizedError

    return check
