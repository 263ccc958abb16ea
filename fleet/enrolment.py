"""Lets a new device in: an id, a password of its own, and the root of trust to begin with."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol

from fleet.core.devices import RESERVED_IDS, Device
from fleet.errors import ReservedDeviceError


class Devices(Protocol):
    """The devices of the fleet."""

    def add(self, device: Device, password_hash: str) -> None:
        """Keep a new device; raise DeviceExistsError."""


class Director(Protocol):
    """Who tells devices."""

    def welcome(self, device: str, now: datetime) -> None:
        """Wish nothing yet of a new device."""


class Enrolment:
    """The door."""

    def __init__(self, devices: Devices, director: Director, hash_password: Callable[[str], str], on_change: Callable[[], None]) -> None:
        """Call `on_change` when the broker must let others in than before."""
        self._devices = devices
        self._director = director
        self._hash_password = hash_password
        self._on_change = on_change
        self._lock = threading.Lock()

    def add(self, device: str, hardware: str, labels: Mapping[str, str], now: datetime) -> str:
        """Add a device and return its password, which is kept nowhere; raise DeviceExistsError or ReservedDeviceError."""
        if device in RESERVED_IDS:
            raise ReservedDeviceError(device)
        password = secrets.token_urlsafe(32)
        with self._lock:  # of two at once, the slower must not give the broker the shorter list
            self._devices.add(Device(device, hardware, labels, now), self._hash_password(password))
            self._director.welcome(device, now)
            self._on_change()
        return password
