"""Touches systemd's notification socket; without one every call is a no-op."""

from __future__ import annotations

import os
import socket


class ServiceNotifier:
    """Tells the service manager how we are."""

    def __init__(self) -> None:
        """Read what systemd put into the environment."""
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        watchdog_us = os.environ.get("WATCHDOG_USEC", "")
        is_ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        # Half of the limit, as sd_watchdog_enabled(3) recommends; None when nobody watches.
        self.beat_interval_s = int(watchdog_us) / 2e6 if watchdog_us.isdigit() and is_ours else None

    def ready(self) -> None:
        """Say that the agent is up."""
        self._send(b"READY=1")

    def beat(self) -> None:
        """Say that the event loop turns."""
        self._send(b"WATCHDOG=1")

    def stopping(self) -> None:
        """Say that the agent is on its way out."""
        self._send(b"STOPPING=1")

    def _send(self, message: bytes) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
            notify.connect(address)
            notify.send(message)
