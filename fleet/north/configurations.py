"""The API's part in the settings of devices: changes them, says before what a change would do, and lists who follows."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from fleet.north.auth import caller_of
from fleet.north.pages import DEFAULT_LIMIT, Cursor, Limit, Pages, Where
from fleet.north.ports import Services
from fleet.north.versions import Seen, seen_version, tag
from fleet.requests.settings import ConfigurationChange
from fleet.settings_desk import version_of
from fleet.views.pages import Page
from fleet.views.settings import ConfiguredDevice, ConfiguringView, DeviceSettings, SettingsState

# Of those that a change means, so many are told with its answer.
MAX_EXAMPLES = 100
State = Annotated[SettingsState | None, Query(description="Only devices of which this is so.")]
SETTINGS = Pages("configurations", str)
TRIAL = Pages("trial of configurations", str)


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["configurations"])
    desk = services.configurations

    @routes.get("/configurations")
    def list_configurations(
        limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None, query: Where = "", state: State = None
    ) -> Page[DeviceSettings]:
        """List what devices are set to and whether they follow, by id; those of which nothing was ever set are not named."""
        now = services.now()

        def meant(after: str, at_most: int) -> tuple[str, ...]:
            return services.targeting.page(query, after, at_most, now)

        return SETTINGS.page(services.settings_pages.page(state, limit, SETTINGS.name(cursor), meant if query else None))

    @routes.post("/configurations/trial")
    def try_configuration(change: ConfigurationChange, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Page[ConfiguredDevice]:
        """List what a change would make of each device that its query means, by id; change nothing."""
        return TRIAL.page(desk.trial(change, limit, TRIAL.name(cursor), services.now()))

    @routes.post("/configurations", status_code=201)
    def configure_devices(change: ConfigurationChange, request: Request, response: Response, seen: Seen = None) -> ConfiguringView:
        """Change settings of all devices that a query means, or only count what would change; If-Match takes the ETag of such a trial."""
        made = desk.change(change, caller_of(request).name, services.now(), seen_version(seen))
        tag(response, version_of(made))
        return ConfiguringView(devices=len(made), changed=sum(each.is_change for each in made), such_as=made[:MAX_EXAMPLES])

    return routes
