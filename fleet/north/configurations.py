"""The API's part in the settings of devices: the one route that changes them; a device's own view shows them."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from fleet.north.auth import caller_of
from fleet.north.ports import Services
from fleet.north.versions import Seen, seen_version, tag
from fleet.requests import ConfigurationChange
from fleet.settings_desk import version_of
from fleet.views import ConfiguredDevice


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["configurations"])

    @routes.post("/configurations", status_code=201)
    def configure_devices(
        change: ConfigurationChange, request: Request, response: Response, seen: Seen = None
    ) -> tuple[ConfiguredDevice, ...]:
        """Change settings of all devices that a query means, or only say what would change; If-Match takes the ETag of such a trial."""
        changed = services.configurations.change(change, caller_of(request).name, services.now(), seen_version(seen))
        tag(response, version_of(changed))
        return changed

    return routes
