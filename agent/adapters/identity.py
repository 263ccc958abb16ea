"""Touches the files by which the device is known: the authority's certificate, and its own key and certificate, also renewed ones."""

from __future__ import annotations

import hashlib
import re
import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from agent.adapters import disk
from agent.adapters.tls import fleet_context
from agent.config import Settings

SECRET_MODE = 0o600
# Before a renewed identity.
SIGNED_BY = "authority "
CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class IdentityFiles:
    """Key and certificate are one file, so that no crash can part them."""

    def __init__(self, settings: Settings, now: Callable[[], datetime]) -> None:
        """Begin with the identity that the device was enrolled with; `now` is the judged time."""
        self._device = settings.config.device.id
        self._authority = settings.ca_file
        self._enrolled = settings.identity_file
        self._now = now
        # A renewed identity stands in for the one that it began with, and for no other: enrolling again begins anew.
        self._renewed = settings.state_dir / f"identity-{_digest(self._enrolled)[:16]}.pem"
        # Likewise for authorities that followed.
        self._believed = settings.state_dir / f"authorities-{_digest(self._enrolled)[:16]}.pem"

    @property
    def current(self) -> Path:
        """Return the file of the newest identity."""
        return self._renewed if self._renewed.exists() else self._enrolled

    def identity(self) -> str:
        """Return the newest key and certificate in PEM."""
        return self.current.read_text()

    def authority(self) -> str:
        """Return the certificates of the authorities that are believed in PEM, the newest last."""
        return (self._believed if self._believed.exists() else self._authority).read_text()

    @property
    def newest_authority(self) -> str:
        """The fingerprint of the newest authority that is believed."""
        return fingerprints(self.authority())[-1]

    @property
    def own_authority(self) -> str:
        """The fingerprint of the authority by which the device is known."""
        first, _, _ = self.identity().partition("\n")
        return first.removeprefix(SIGNED_BY) if first.startswith(SIGNED_BY) else fingerprints(self._authority.read_text())[0]

    def believe(self, authorities: str) -> None:
        """Believe these authorities from the next connection on."""
        disk.write_whole(self._believed, authorities.encode())

    def adopt(self, identity: str, authority: str) -> None:
        """Be known by this key and certificate, which the authority of this fingerprint signed, from the next connection on."""
        # PEM readers skip what stands before a block; in the same file it cannot part from the certificate.
        disk.write_whole(self._renewed, f"{SIGNED_BY}{authority}\n{identity}".encode(), SECRET_MODE)

    def tls_context(self) -> ssl.SSLContext:
        """Return what the next connection is made with; raise OSError."""
        return fleet_context(self.authority(), self.current, self._now, self._meet)

    def client_id(self, line: str = "") -> str:
        """Return a name for one line to the broker, or for the main one, that nobody without our key can tell."""
        return "-".join((self._device, *filter(None, [line]), _digest(self.current)[:32]))

    def _meet(self, authority: str) -> None:
        """Let older authorities go once the fleet itself is known by the newest, and so are we: nobody else can have its certificate."""
        with suppress(OSError):  # a disk that takes nothing must not cost the link; the next connection tries again
            believed = blocks(self.authority())
            if len(believed) > 1 and authority == self.newest_authority == self.own_authority:
                self.believe(believed[-1])


def blocks(pem: str) -> list[str]:
    """Part certificates in PEM."""
    return [f"{block}\n" for block in CERTIFICATE.findall(pem)]


def fingerprints(pem: str) -> list[str]:
    """Return the hex SHA-256 of each certificate in DER; raise OSError, as for a file that cannot be read, when there is none."""
    try:
        found = [hashlib.sha256(ssl.PEM_cert_to_DER_cert(block)).hexdigest() for block in blocks(pem)]
    except ValueError as error:
        raise OSError(f"certificates: expected PEM, found {error}") from error
    if not found:
        raise OSError("certificates: expected one in PEM, found none")
    return found


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
