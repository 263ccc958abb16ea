"""Touches the files by which the device is known: the authority's certificate, and its own key and certificate, also renewed ones."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from agent.adapters import disk
from agent.adapters.tls import fleet_context
from agent.config import Settings

SECRET_MODE = 0o600


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

    @property
    def current(self) -> Path:
        """Return the file of the newest identity."""
        return self._renewed if self._renewed.exists() else self._enrolled

    def identity(self) -> str:
        """Return the newest key and certificate in PEM."""
        return self.current.read_text()

    def authority(self) -> str:
        """Return the authority's certificate in PEM."""
        return self._authority.read_text()

    def adopt(self, identity: str) -> None:
        """Be known by this key and certificate from the next connection on."""
        disk.write_whole(self._renewed, identity.encode(), SECRET_MODE)

    def tls_context(self) -> ssl.SSLContext:
        """Return what the next connection is made with; raise OSError."""
        return fleet_context(self.authority(), self.current, self._now)

    def client_id(self, line: str = "") -> str:
        """Return a name for one line to the broker, or for the main one, that nobody without our key can tell."""
        return "-".join((self._device, *filter(None, [line]), _digest(self.current)[:32]))


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
