"""The API's questions about rollouts, and what people order of them; each order is kept with the name of who gave it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Request

from fleet.core.rollout.acts import ACTS
from fleet.north.auth import caller_of
from fleet.north.ports import Services
from fleet.requests import NewRollout
from fleet.views import RolloutPreview, RolloutView


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()
    desk, reader, now = services.rollouts, services.reader, services.now

    @routes.get("/rollouts")
    def rollouts(limit: Annotated[int, Query(ge=1, le=200)] = 50) -> tuple[RolloutView, ...]:
        return reader.rollouts(limit=limit)

    @routes.post("/rollouts/preview")
    def preview_rollout(new: NewRollout) -> RolloutPreview:
        return services.preview.of(new, services.now())

    @routes.get("/rollouts/{rollout}")
    def rollout(rollout: int) -> RolloutView:
        return reader.rollout(rollout)

    @routes.post("/rollouts", status_code=201)
    def start_rollout(new: NewRollout, request: Request) -> RolloutView:
        return reader.rollout(desk.start(new, caller_of(request).name, now()))

    @routes.post("/rollouts/{rollout}/rollback", status_code=201)
    def roll_back(rollout: int, request: Request) -> RolloutView:
        return reader.rollout(desk.rollback(rollout, caller_of(request).name, now()))

    @routes.post("/rollouts/{rollout}/retry", status_code=201)
    def retry(rollout: int, request: Request) -> RolloutView:
        return reader.rollout(desk.retry(rollout, caller_of(request).name, now()))

    for act in ACTS:
        routes.post(f"/rollouts/{{rollout}}/{act}", name=act)(_ordering(services, act))
    return routes


def _ordering(services: Services, act: str) -> Callable[[int, Request], RolloutView]:
    def order(rollout: int, request: Request) -> RolloutView:
        services.rollouts.act(rollout, act, caller_of(request).name, services.now())
        return services.reader.rollout(rollout)

    return order
