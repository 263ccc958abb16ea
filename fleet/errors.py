"""The fleet's errors: each names the thing, what was expected, what was found and what to do."""

from __future__ import annotations

from contracts.errors import FieldfareError


class FleetError(FieldfareError):
    """Root of the fleet's errors."""


class UnknownDeviceError(FleetError):
    """No device of that id was added."""

    def __init__(self, device: str) -> None:
        super().__init__(f"device {device}: expected a device of this fleet, found none; `fieldfare devices` lists them")


class UnknownRolloutError(FleetError):
    """No rollout of that number was started."""

    def __init__(self, rollout: int) -> None:
        super().__init__(f"rollout {rollout}: expected a rollout of this fleet, found none; `fieldfare rollout list` lists them")
