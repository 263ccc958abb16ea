"""The API's questions about the fleet and its devices."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response

from contracts.names import DeviceId
from fleet.north.pages import DEFAULT_LIMIT, Cursor, Limit, Pages, Where
from fleet.north.ports import Services
from fleet.views.charts import HealthPoint, InferencePoint
from fleet.views.device_details import DeviceDetail, EventView, QuarantinedMessage
from fleet.views.devices import DeviceSummary
from fleet.views.overview import Overview
from fleet.views.pages import Page

Device = Annotated[DeviceId, Path()]
Minutes = Annotated[int, Query(ge=1, le=60 * 24 * 366, description="How far back.")]
DEVICES = Pages("devices", str)
EVENTS = Pages("events", int, str, int)
HEALTH = Pages("health", int, str, int)
INFERENCE = Pages("inference", int, str, int)
QUARANTINE = Pages("quarantine", int)


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["devices"])
    reader, lists = services.reader, services.lists

    @routes.get("/overview")
    def get_overview() -> Overview:
        """Return the whole fleet in numbers."""
        return reader.overview()

    @routes.get("/devices", response_model=Page[DeviceSummary])
    def list_devices(limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None, query: Where = "") -> Response:
        """List devices by their ids, all of them or those that a query means."""
        after = DEVICES.name(cursor)
        if query:
            page = services.device_pages.named(services.targeting.page(query, after, limit + 1, services.now()), limit)
        else:
            page = services.device_pages.following(after, limit)
        following = json.dumps(None if page.last is None else DEVICES.cursor((page.last,))).encode()
        return Response(b'{"items":' + page.items + b',"next":' + following + b"}", media_type="application/json")

    @routes.get("/devices/{device}")
    def get_device(device: Device) -> DeviceDetail:
        """Return all that is known of one device."""
        return reader.device(device)

    @routes.get("/devices/{device}/events")
    def list_events(device: Device, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Page[EventView]:
        """List what happened on a device, newest first."""
        return EVENTS.page(lists.events(device, limit, EVENTS.key(cursor)))

    @routes.get("/devices/{device}/health")
    def list_health(device: Device, minutes: Minutes = 60, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Page[HealthPoint]:
        """List a device's health points, newest first; over a long time they are means."""
        return HEALTH.page(lists.health(device, minutes, limit, HEALTH.key(cursor)))

    @routes.get("/devices/{device}/inference")
    def list_inference(device: Device, minutes: Minutes = 60, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Page[InferencePoint]:
        """List what models did on a device, newest first; over a long time windows are summed up."""
        return INFERENCE.page(lists.inference(device, minutes, limit, INFERENCE.key(cursor)))

    @routes.get("/quarantine")
    def list_quarantine(
        device: DeviceId | Literal[""] = "", limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
    ) -> Page[QuarantinedMessage]:
        """List messages that were not understood, newest first, of one device or of all."""
        return QUARANTINE.page(lists.quarantine(device, limit, QUARANTINE.key(cursor)))

    return routes
