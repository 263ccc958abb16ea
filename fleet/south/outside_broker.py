"""Stands for a broker that somebody else runs: leaves in a folder what it has to follow, and starts nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import anyio

from fleet.files import write_secret
from fleet.south.broker import Address


class OutsideBroker:
    """Its owner makes it believe the fleet's authority, show a certificate of it, and read `acl` and `revoked.pem` when they change."""

    def __init__(self, folder: Path, address: Address) -> None:
        """Leave files in `folder`."""
        self._folder = folder
        self.address = address

    async def start(self) -> None:
        """It runs, or will."""

    async def stop(self) -> None:
        """It runs on."""

    async def keep_alive(self) -> None:
        """Somebody else does."""
        await anyio.sleep_forever()

    def admit(self, acl: str, revocation_list: bytes) -> None:
        """Write who may do what, and whom not to let in."""
        write_secret(self._folder / "revoked.pem", revocation_list)
        write_secret(self._folder / "acl", acl.encode())

    def believe(self, authorities: Mapping[str, str]) -> None:
        """Write what it has to believe beside `ca.pem` while one authority follows another."""
        write_secret(self._folder / "authorities.pem", "".join(authorities.values()).encode())

    def reload(self) -> None:
        """Its owner watches the files."""

    def save(self) -> None:
        """Its owner keeps what it has to keep."""
