"""Starts a real mosquitto of its own on a free port, with mutual TLS and access rules as in production."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from fleet.south.rules import acl_file
from tests.live.authority import authority, server_identity
from tests.live.ports import free_port

START_S = 60.0
STOP_S = 60.0


class Mosquitto:
    """One broker process, which can be stopped and started again with its retained messages."""

    def __init__(self, folder: Path, identity: Path | None = None, believed: Path | None = None, *, limit: str = "") -> None:
        """Write its files; everybody of this run's authority, or of another that it believes, is let in by his name.

        `identity` is what it shows of itself, `limit` one more line of its configuration.
        """
        identity = identity or server_identity()
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        self._process: subprocess.Popen[bytes] | None = None
        self._log = folder / "mosquitto.log"
        folder.mkdir(parents=True, exist_ok=True)
        self._rules = folder / "acl"
        self._rules.write_text(acl_file())
        lines = [
            f"listener {self.port} 127.0.0.1",
            f"cafile {believed or authority().certificate_file}",
            f"certfile {identity}",
            f"keyfile {identity}",
            "require_certificate true",
            "use_identity_as_username true",
            f"acl_file {folder / 'acl'}",
            "persistence true",
            f"persistence_location {folder}/",
            "max_queued_messages 0",
            f"log_dest file {self._log}",
            limit,
            *(["user root"] if os.geteuid() == 0 else []),
        ]
        self._config.write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        """Start it and wait until it listens."""
        program = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")
        assert program is not None, "mosquitto is not installed"
        self._process = subprocess.Popen([program, "-c", str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end_s = time.monotonic() + START_S
        while not self._listens():
            assert self._process.poll() is None, f"mosquitto ended: {self._log.read_text()}"
            assert time.monotonic() < end_s, f"mosquitto did not start: {self._log.read_text()}"
            time.sleep(0.02)

    def rule(self, rules: str) -> None:
        """Let everybody do what these rules say from now on, on open connections too."""
        self._rules.write_text(rules)
        if self._process is not None:
            self._process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        """End it in good order, so that retained messages are saved."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=STOP_S)
            self._process = None

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
