"""The API's questions about the fleet and its devices."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import TypeAdapter

from contracts.names import DeviceId
from fleet.north.ports import Services
from fleet.views import DeviceDetail, DeviceSummary, HealthPoint, InferencePoint, Overview, QuarantinedMessage

Device = Annotated[DeviceId, Path()]
Limit = Annotated[int, Query(ge=1, le=1000)]
After = Annotated[str, Query(max_length=64)]
Where = Annotated[str, Query(max_length=1000)]
SUMMARIES: TypeAdapter[tuple[DeviceSummary, ...]] = TypeAdapter(tuple[DeviceSummary, ...])
Minutes = Annotated[int, Query(ge=1, le=60 * 24 * 366)]


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()
    reader = services.reader

    @routes.get("/overview")
    def overview() -> Overview:
        return reader.overview()

    @routes.get("/devices", response_model=tuple[DeviceSummary, ...])
    def devices(limit: Limit = 200, after: After = "", query: Where = "") -> Response:
        if query:
            page = reader.named(services.targeting.page(query, after, limit, services.now()))
        else:
            page = reader.devices(limit=limit, after=after)
        # Views are checked where they are made: to have them checked again costs as much as all the rest.
        return Response(SUMMARIES.dump_json(page), media_type="application/json")

    @routes.get("/devices/{device}")
    def device(device: Device) -> DeviceDetail:
        return reader.device(device)

    @routes.get("/devices/{device}/health")
    def health(device: Device, minutes: Minutes = 60, limit: Limit = 1000) -> tuple[HealthPoint, ...]:
        return reader.health(device, minutes=minutes, limit=limit)

    @routes.get("/devices/{device}/inference")
    def inference(device: Device, minutes: Minutes = 60, limit: Limit = 1000) -> tuple[InferencePoint, ...]:
        return reader.inference(device, minutes=minutes, limit=limit)

    @routes.get("/quarantine")
    def quarantine(device: DeviceId | Literal[""] = "", limit: Limit = 100) -> tuple[QuarantinedMessage, ...]:
        return reader.quarantine(device=device, limit=limit)

    return routes
