"""Why no fleet can be played."""

from __future__ import annotations

from typing import ClassVar

from fleet.errors import FleetError


class SimulationRefusedError(FleetError):
    """The server's broker does not take simulated devices."""

    exit_status: ClassVar[int] = 3

    def __init__(self, door: str, found: str) -> None:
        super().__init__(f"{door}: expected the broker's door for simulated devices, found {found}; start the server with --simulation")


class NoSimulationError(FleetError):
    """A server that serves real devices alone is asked for simulated ones."""

    def __init__(self) -> None:
        super().__init__("simulated devices: expected a server that was started with --simulation, found one without; start it so")
