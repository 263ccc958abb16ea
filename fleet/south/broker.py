"""Runs mosquitto as a child: writes its configuration, starts it, and starts it again when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pwd
import resource
import shutil
import signal
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from fleet.errors.server import BrokerFailedError, ToolMissingError
from fleet.files import write_secret
from fleet.south.believed import FOLDER, believe
from fleet.south.mosquitto_conf import MAX_QUEUED_BYTES, NO_ACCOUNTS, Address, Places, configuration
from fleet.south.rules import acl_file

START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 5.0
SETTLE_S = 0.2
FIRST_BACKOFF_S = 0.2
LONGEST_BACKOFF_S = 30.0
# A broker that ran this long was well: its next death is a new story.
HEALTHY_AFTER_S = 60.0
# Debian keeps daemons where users' PATH does not look.
SEARCH_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
# glibc gives each freed chunk's pages back to the kernel and faults them in anew for the next: about a quarter of the broker's work.
MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(16 << 20), "MALLOC_TRIM_THRESHOLD_": str(MAX_QUEUED_BYTES)}
EVERYWHERE = frozenset({"", "0.0.0.0"})  # noqa: S104 - compared, not bound
# Where distributions put the broker's own plugin.
PLUGIN_PATTERNS = (
    "usr/lib/*/mosquitto_dynamic_security.so",
    "usr/lib*/mosquitto_dynamic_security.so",
    "usr/local/lib/mosquitto_dynamic_security.so",
)

log = logging.getLogger("fleet.broker")


class Broker:
    """One mosquitto of our own, beside any other."""

    # It is told at once.
    lag_s = 0.0

    def __init__(self, folder: Path, address: Address, search_path: str = SEARCH_PATH) -> None:
        """Keep configuration and persistence in `folder`; find programs in the folders of `search_path`."""
        self._search_path = search_path
        self._folder = folder
        self.address = address
        self._child: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Write the configuration and wait until it listens; raise ToolMissingError or BrokerFailedError. `admit` came before.

        To be called on the main thread: the child is told to die with the thread that started it.
        """
        places = Places(self._folder, self._folder, self._find_kicker(), pwd.getpwuid(os.geteuid()).pw_name)
        (self._folder / FOLDER).mkdir(parents=True, exist_ok=True)
        write_secret(self._folder / "mosquitto.conf", configuration(self.address, places).encode())
        await self._spawn()

    def admit(self, revoked: Sequence[str], revocation_list: bytes) -> None:
        """Let these do nothing more, and follow this list, from now on; connections stay, but the rules bind them at once."""
        write_secret(self._folder / "revoked.pem", revocation_list)
        write_secret(self._folder / "acl", acl_file(revoked).encode())
        self.reload()

    def believe(self, authorities: Mapping[str, str]) -> None:
        """Believe these authorities too from now on, in PEM, by the names under which OpenSSL looks for them."""
        believe(self._folder, authorities)

    def reload(self) -> None:
        """Read certificates, rules and list again."""
        if self._child is not None and self._child.returncode is None:
            self._child.send_signal(signal.SIGHUP)

    def save(self) -> None:
        """Write subscriptions and messages down now: without them, a broker that died would take messages for which it knows nobody."""
        if self._child is not None and self._child.returncode is None:
            self._child.send_signal(signal.SIGUSR1)

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

    async def _spawn(self) -> None:
        # Accounts are only ever made to end connections; one that a crash left behind would lock its device out.
        write_secret(self._folder / "accounts.json", NO_ACCOUNTS.encode())
        command = (self._find("setpriv", "util-linux"), "--pdeathsig", "TERM", self._find("mosquitto", "mosquitto"))
        log_path = self._folder / "mosquitto.log"
        with log_path.open("wb") as output:
            self._child = await asyncio.create_subprocess_exec(
                *(*command, "-c", str(self._folder / "mosquitto.conf")),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **MEMORY},
                start_new_session=True,  # Ctrl-C is for us; the broker ends after the last word is published
            )
        _let_open_files(self._child.pid)
        try:
            await asyncio.wait_for(self._wait_until_it_listens(), START_TIMEOUT_S)
        except (asyncio.TimeoutError, ConnectionError) as error:
            await self.stop()
            lines = log_path.read_text(errors="replace").splitlines()
            raise BrokerFailedError(str(log_path), lines[-1] if lines else "no output") from error

    def _find_kicker(self) -> Path:
        for pattern in PLUGIN_PATTERNS:
            for path in sorted(Path("/").glob(pattern)):
                return path
        raise ToolMissingError("mosquitto_dynamic_security.so", "mosquitto")

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
                    await asyncio.get_running_loop().sock_connect(probe, (reachable(self.address.host), self.address.port))
                except OSError:
                    await asyncio.sleep(0.02)
                else:
                    # Whoever answered may be a stranger: a mosquitto that found its port taken ends at once.
                    await asyncio.sleep(SETTLE_S)
                    if self._child.returncode is None:
                        return
        raise ConnectionError("it ended")


def reachable(host: str) -> str:
    """Return an address at which a listener on `host` can be reached from this machine."""
    return "127.0.0.1" if host in EVERYWHERE else host


def _let_open_files(pid: int) -> None:
    """Let the broker have a connection for as many devices as the system allows a process; ours keeps its limit, because of select(2)."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ProcessLookupError):  # it ended at once, as is seen next
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, most))
