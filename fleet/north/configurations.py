"""The API's part in the settings of devices: the one route that changes them; a device's own view shows them."""

from __future__ import annotations

from fastapi import APIRouter, Request

from fleet.north.auth import caller_of
from fleet.north.ports import Services
from fleet.requests import ConfigurationChange
from fleet.views import ConfiguredDevice


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()

    @routes.post("/configurations", status_code=201)
    def configure(change: ConfigurationChange, request: Request) -> tuple[ConfiguredDevice, ...]:
        return services.configurations.change(change, caller_of(request).name, services.now())

    return routes
