"""Lets devices in by a one-time token, renews their certificates, and turns them out."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from contracts.enrolment import EnrolmentToken
from fleet.certificates import Request, read_request
from fleet.core.devices import Device
from fleet.core.enrolment import Grant, Issued, Standing, check_renewal, check_room, name_of


class Credentials(Protocol):
    """Tokens and certificates that were given out."""

    def give_out(self, secret: str, grant: Grant) -> None:
        """Let machines in by a token from now on."""

    def grant(self, secret: str) -> Grant | None:
        """Return what a token allows."""

    def admit(self, device: Device, secret: str, issued: Issued) -> None:
        """Keep a device that came by a token."""

    def add(self, device: str, issued: Issued) -> None:
        """Keep a renewed certificate."""

    def issued(self, device: str, key_sha256: str, secret: str | None) -> Issued | None:
        """Return what was issued for this key before."""

    def standing(self, device: str, now: datetime) -> Standing | None:
        """Return how it stands with a device's certificates."""

    def revoke(self, device: str, now: datetime) -> None:
        """Turn a device out; raise UnknownDeviceError."""


class Departures(Protocol):
    """Devices that were removed."""

    def remove(self, device: str, by: str, now: datetime, *, keeps_history: bool) -> None:
        """Take a device out with its certificates; raise UnknownDeviceError."""


class Authority(Protocol):
    """Who signs certificates."""

    @property
    def fingerprint(self) -> str:
        """The digest by which devices recognise it."""

    def issue_client(self, name: str, request: Request, now: datetime, life: timedelta, believed: str | None = None) -> Issued:
        """Sign a device's key, by the newest root that it believes."""


@dataclass(frozen=True)
class Consequences:
    """What others do when somebody comes or goes."""

    # Wish nothing yet of a new device.
    welcome: Callable[[str, datetime], None]
    # Let a revoked device in again, by its new certificate.
    readmit: Callable[[datetime], None]
    # End what a revoked device does.
    shut_out: Callable[[str, datetime], None]
    # Go on without one that was removed, by whose order.
    let_go: Callable[[str, str, datetime], None]


class Enrolment:
    """The door."""

    def __init__(
        self, credentials: Credentials, departures: Departures, authority: Authority, consequences: Consequences, life: timedelta
    ) -> None:
        """Issue certificates of this `life`."""
        self._credentials = credentials
        self._departures = departures
        self._authority = authority
        self._consequences = consequences
        self._life = life
        # One at a time: two machines with one token, or one name, must not both find it free.
        self._lock = threading.Lock()

    def give_token(self, grant: Grant) -> EnrolmentToken:
        """Return a new token; its secret is kept nowhere."""
        token = EnrolmentToken(self._authority.fingerprint, secrets.token_urlsafe(32))
        self._credentials.give_out(token.secret, grant)
        return token

    def enrol(self, secret: str, wanted: str | None, csr: str, now: datetime) -> tuple[Device, Issued]:
        """Let a machine in; the same machine with the same token gets the same answer again. Raises FleetError."""
        with self._lock:
            grant = self._credentials.grant(secret)
            name = name_of(grant, wanted, now)
            assert grant is not None  # `name_of` refuses an unknown token
            request = read_request(csr)
            device = Device(name, grant.hardware, grant.labels, now)
            standing = self._credentials.standing(name, now)
            issued = self._credentials.issued(name, request.key_sha256, secret)
            if issued is None:
                check_room(grant, name, standing)
                issued = self._authority.issue_client(name, request, now, self._life)
                self._credentials.admit(device, secret, issued)
            # Also for a machine that comes again: what follows may have failed the first time.
            self._consequences.welcome(name, now)
            if standing is not None:
                self._consequences.readmit(now)
        return device, issued

    def renew(self, device: str, csr: str, believed: str | None, now: datetime) -> Issued:
        """Give a device its next certificate, by the newest root that it believes; raise FleetError."""
        with self._lock:
            check_renewal(device, self._credentials.standing(device, now))
            request = read_request(csr)
            before = self._credentials.issued(device, request.key_sha256, None)
            if before is not None:
                return before
            issued = self._authority.issue_client(device, request, now, self._life, believed)
            self._credentials.add(device, issued)
        return issued

    def revoke(self, device: str, now: datetime) -> None:
        """Turn a device out for good, also where it is connected; raise UnknownDeviceError. Doing so again does the rest again."""
        with self._lock:
            self._credentials.revoke(device, now)
            self._consequences.shut_out(device, now)

    def remove(self, device: str, by: str, now: datetime, *, keeps_history: bool) -> None:
        """Turn a device out and forget it; raise UnknownDeviceError. Doing so again does the rest again."""
        with self._lock:
            self._departures.remove(device, by, now, keeps_history=keeps_history)
            self._consequences.shut_out(device, now)
            self._consequences.let_go(device, by, now)
