"""The API's part in rehearsals: lets devices in that are played on the server's own machine."""

from __future__ import annotations

from fastapi import APIRouter

from fleet.core.devices import Device
from fleet.core.labels import SIMULATED
from fleet.errors.simulation import NoSimulationError
from fleet.north.ports import Services
from fleet.requests.enrolment import NewSimulatedDevices, SimulationDoor


def router(services: Services) -> APIRouter:
    """Return the route."""
    routes = APIRouter(tags=["simulation"])

    @routes.post("/simulated-devices")
    def add_simulated_devices(new: NewSimulatedDevices) -> SimulationDoor:
        """Let devices in that are played on the server's own machine."""
        if services.simulation is None:
            raise NoSimulationError
        now = services.now()
        services.simulation.devices.add_simulated([Device(one.id, one.hardware, {**one.labels, **SIMULATED}, now) for one in new.devices])
        return SimulationDoor(path=services.simulation.door)

    return routes
