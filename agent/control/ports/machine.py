"""What the control process needs of the device and its service manager."""

from __future__ import annotations

from typing import Protocol

from agent.core.preflight import Condition
from agent.core.probation import Heat
from agent.core.readings import Readings
from contracts.messages import Machine


class Sensors(Protocol):
    """What the device feels."""

    def machine(self) -> Machine:
        """Say what it is made of."""

    async def read(self) -> Readings:
        """Measure once."""

    async def condition(self) -> Condition:
        """Say whether the device is in a state to take more upon itself."""

    def rss_bytes(self, pid: int) -> int:
        """Return a process's resident memory."""


class Thermometer(Protocol):
    """What a probation feels of the device."""

    async def heat(self) -> Heat:
        """Feel how warm it is."""


class Notifier(Protocol):
    """The service manager."""

    beat_interval_s: float | None

    def ready(self) -> None:
        """We are up."""

    def beat(self) -> None:
        """The loop turns."""

    def stopping(self) -> None:
        """We are leaving."""
