"""The API's questions about rollouts, and the one that starts one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from fleet.north.ports import Services
from fleet.requests import NewRollout
from fleet.views import RolloutPreview, RolloutView


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()

    @routes.get("/rollouts")
    def rollouts(limit: Annotated[int, Query(ge=1, le=200)] = 50) -> tuple[RolloutView, ...]:
        return services.reader.rollouts(limit=limit)

    @routes.post("/rollouts", status_code=201)
    def start_rollout(new: NewRollout) -> RolloutView:
        number = services.rollouts.start(new.model, new.query, new.release, new.deadline_s, services.now())
        return services.reader.rollout(number)

    @routes.post("/rollouts/preview")
    def preview_rollout(new: NewRollout) -> RolloutPreview:
        return services.preview.of(new, services.now())

    @routes.get("/rollouts/{rollout}")
    def rollout(rollout: int) -> RolloutView:
        return services.reader.rollout(rollout)

    return routes
