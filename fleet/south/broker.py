"""Runs mosquitto as a child: writes its configuration, starts it, and starts it again when it dies."""

from __future__ import annotations

import asyncio
import logging
import os
import pwd
import shutil
import signal
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from contracts.trust import MAX_TRUST_FILE_BYTES
from fleet.errors import BrokerFailedError, ToolMissingError
from fleet.files import write_secret
from fleet.south.credentials import acl_file, password_file

START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 5.0
SETTLE_S = 0.2
FIRST_BACKOFF_S = 0.2
LONGEST_BACKOFF_S = 30.0
# A broker that ran this long was well: its next death is a new story.
HEALTHY_AFTER_S = 60.0
# Debian keeps daemons where users' PATH does not look.
SEARCH_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
# The largest trust file and its topic.
MAX_PACKET_BYTES = MAX_TRUST_FILE_BYTES + 1024
MAX_QUEUED_BYTES = 64 << 20

log = logging.getLogger("fleet.broker")


@dataclass(frozen=True)
class Address:
    """Where the broker listens."""

    host: str
    port: int


class Broker:
    """One mosquitto of our own, beside any other."""

    def __init__(self, folder: Path, address: Address, search_path: str = SEARCH_PATH) -> None:
        """Keep configuration and persistence in `folder`; find programs in the folders of `search_path`."""
        self._search_path = search_path
        self._folder = folder
        self._address = address
        self._child: asyncio.subprocess.Process | None = None

    async def start(self, hashes: Mapping[str, str]) -> None:
        """Write everything and wait until it listens; raise ToolMissingError or BrokerFailedError.

        To be called on the main thread: the child is told to die with the thread that started it.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_secret(self._folder / "mosquitto.conf", _configuration(self._folder, self._address).encode())
        write_secret(self._folder / "acl", acl_file().encode())
        self._write_passwords(hashes)
        await self._spawn()

    def admit(self, hashes: Mapping[str, str]) -> None:
        """Let in exactly these users from now on."""
        self._write_passwords(hashes)
        if self._child is not None and self._child.returncode is None:
            self._child.send_signal(signal.SIGHUP)

    async def keep_alive(self) -> None:
        """Start the child again each time it dies, ever more slowly."""
        backoff_s = FIRST_BACKOFF_S
        clock = asyncio.get_running_loop().time
        while True:
            started_s = clock()
            assert self._child is not None
            status = await self._child.wait()
            backoff_s = FIRST_BACKOFF_S if clock() - started_s > HEALTHY_AFTER_S else backoff_s
            log.warning("mosquitto ended with status %s; starting it again in %.1f s", status, backoff_s)
            await asyncio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, LONGEST_BACKOFF_S)
            try:
                await self._spawn()
            except BrokerFailedError as error:
                log.warning("%s", error)

    async def stop(self) -> None:
        """End the child, by force when it does not listen."""
        child = self._child
        if child is None or child.returncode is not None:
            return
        child.terminate()
        try:
            await asyncio.wait_for(child.wait(), STOP_TIMEOUT_S)
        except asyncio.TimeoutError:
            child.kill()
            await child.wait()

    def _write_passwords(self, hashes: Mapping[str, str]) -> None:
        write_secret(self._folder / "passwords", password_file(hashes).encode())

    async def _spawn(self) -> None:
        command = (self._find("setpriv", "util-linux"), "--pdeathsig", "TERM", self._find("mosquitto", "mosquitto"))
        log_path = self._folder / "mosquitto.log"
        with log_path.open("wb") as output:
            self._child = await asyncio.create_subprocess_exec(
                *(*command, "-c", str(self._folder / "mosquitto.conf")),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for us; the broker ends after the last word is published
            )
        try:
            await asyncio.wait_for(self._wait_until_it_listens(), START_TIMEOUT_S)
        except (asyncio.TimeoutError, ConnectionError) as error:
            await self.stop()
            lines = log_path.read_text(errors="replace").splitlines()
            raise BrokerFailedError(str(log_path), lines[-1] if lines else "no output") from error

    def _find(self, tool: str, package: str) -> str:
        path = shutil.which(tool, path=self._search_path)
        if path is None:
            raise ToolMissingError(tool, package)
        return path

    async def _wait_until_it_listens(self) -> None:
        assert self._child is not None
        while self._child.returncode is None:
            with socket.socket() as probe:
                probe.setblocking(False)
                try:
                    await asyncio.get_running_loop().sock_connect(probe, (self._address.host, self._address.port))
                except OSError:
                    await asyncio.sleep(0.02)
                else:
                    # Whoever answered may be a stranger: a mosquitto that found its port taken ends at once.
                    await asyncio.sleep(SETTLE_S)
                    if self._child.returncode is None:
                        return
        raise ConnectionError("it ended")


def _configuration(folder: Path, address: Address) -> str:
    return f"""\
# Written by `fieldfare fleet up` at every start; changes are lost.
listener {address.port} {address.host}
user {pwd.getpwuid(os.geteuid()).pw_name}
allow_anonymous false
password_file {folder}/passwords
acl_file {folder}/acl

persistence true
persistence_location {folder}/
persistence_file mosquitto.db
autosave_interval 60
persistent_client_expiration 14d

# A count would drop acknowledged messages silently; bytes bound the memory.
max_queued_messages 0
max_queued_bytes {MAX_QUEUED_BYTES}
# Each is copied for a subscriber that does not read; agents allow as many.
max_inflight_messages 32
max_packet_size {MAX_PACKET_BYTES}
max_keepalive 3600
set_tcp_nodelay true

log_dest stderr
log_type error
log_type warning
log_type notice
connection_messages false
"""
