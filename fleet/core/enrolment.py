"""Decides who may enter by which token, and when a device may have another certificate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from fleet.errors.devices import DeviceExistsError, UnknownDeviceError
from fleet.errors.enrolment import EnrolmentTokenError, RevokedError, TooManyCertificatesError, WrongDeviceNameError

# A device has one certificate and sometimes the next one; more come from a device that forgets, or from a thief.
MAX_CERTIFICATES = 10


@dataclass(frozen=True)
class Grant:
    """What an enrolment token allows; hardware and labels are the operator's word, not the machine's."""

    # None leaves the name to the machine.
    device: str | None
    hardware: str
    labels: Mapping[str, str]
    uses_left: int
    expires_at: datetime


@dataclass(frozen=True)
class Issued:
    """A certificate, and what is remembered of it."""

    pem: str
    serial: str
    # Hex SHA-256 of the public key.
    key_sha256: str
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class Standing:
    """What the fleet knows of a device's certificates."""

    is_revoked: bool
    # Those that have not ended.
    certificates: int


def name_of(grant: Grant | None, wanted: str | None, now: datetime) -> str:
    """Return the name of the device that comes with a token; raise EnrolmentTokenError or WrongDeviceNameError."""
    if grant is None:
        raise EnrolmentTokenError.unknown()
    if grant.expires_at <= now:
        raise EnrolmentTokenError.ended(grant.expires_at)
    if grant.device is None:
        if wanted is None:
            raise WrongDeviceNameError("a name for the device, because its token gives none", "none; give --name")
        return wanted
    if wanted not in (None, grant.device):
        raise WrongDeviceNameError(f"the name that the token is for, {grant.device}", str(wanted))
    return grant.device


def check_room(grant: Grant, device: str, standing: Standing | None) -> None:
    """Raise unless a new device, or a revoked one that the token names, may take the name and the token has a use left."""
    if grant.uses_left < 1:
        raise EnrolmentTokenError.used_up()
    # Only a token made for it brings a name back: whoever holds an open one must not take over a device's history.
    if standing is not None and not (standing.is_revoked and grant.device == device):
        raise DeviceExistsError(device)


def check_renewal(device: str, standing: Standing | None) -> None:
    """Raise unless a device may have another certificate."""
    if standing is None:
        raise UnknownDeviceError(device)
    if standing.is_revoked:
        raise RevokedError(device)
    if standing.certificates >= MAX_CERTIFICATES:
        raise TooManyCertificatesError(device, MAX_CERTIFICATES)
