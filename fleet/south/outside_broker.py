"""Stands for a broker that somebody else runs: leaves in a folder what it has to follow, and starts nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import anyio

from fleet.files import write_secret
from fleet.south.believed import believe
from fleet.south.mosquitto_conf import NO_ACCOUNTS, Address, Places, configuration
from fleet.south.rules import acl_file

# Where the broker's makers put these in their image; deploy/broker.sh knows where a system has them.
DATA = Path("/var/lib/mosquitto")
KICKER = Path("/usr/lib/mosquitto_dynamic_security.so")
ALL = "0.0.0.0"  # noqa: S104 - its owner decides who reaches it


class OutsideBroker:
    """Its owner makes it believe the fleet's authority, show a certificate of it, and read `acl` and `revoked.pem` when they change."""

    # deploy/broker.sh looks every second; its machine may be busy.
    lag_s = 5.0

    def __init__(self, folder: Path, address: Address, port: int) -> None:
        """Leave files in `folder`, for a broker that is reached at this port."""
        self._folder = folder
        self._port = port
        self.address = address

    async def start(self) -> None:
        """Write how a mosquitto would have to run; it runs, or will."""
        open_to_all = replace(self.address, host=ALL, port=self._port)
        write_secret(self._folder / "mosquitto.conf", configuration(open_to_all, Places(self._folder, DATA, KICKER)).encode())
        write_secret(self._folder / "accounts.json", NO_ACCOUNTS.encode())

    async def stop(self) -> None:
        """It runs on."""

    async def keep_alive(self) -> None:
        """Somebody else does."""
        await anyio.sleep_forever()

    def admit(self, revoked: Sequence[str], revocation_list: bytes) -> None:
        """Write who may do what, and whom not to let in."""
        write_secret(self._folder / "revoked.pem", revocation_list)
        write_secret(self._folder / "acl", acl_file(revoked).encode())

    def believe(self, authorities: Mapping[str, str]) -> None:
        """Write what it has to believe beside `ca.pem` while one authority follows another: by name in a folder, and in one file."""
        believe(self._folder, authorities)
        write_secret(self._folder / "authorities.pem", "".join(authorities.values()).encode())

    def reload(self) -> None:
        """Its owner watches the files."""

    def save(self) -> None:
        """Its owner keeps what it has to keep."""
