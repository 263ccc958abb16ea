"""The API's part in the fleet's own authority: how one root follows another."""

from __future__ import annotations

from fastapi import APIRouter

from fleet.north.ports import Services
from fleet.requests import AuthorityState, Retirement


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()
    desk = services.succession

    @routes.get("/authority")
    def state() -> AuthorityState:
        return desk.state(services.now())

    @routes.post("/authority/successor", status_code=201)
    def rotate() -> AuthorityState:
        return desk.rotate(services.now())

    @routes.post("/authority/retirement")
    def finish(order: Retirement) -> AuthorityState:
        return desk.finish(services.now(), leaves=order.leaves)

    return routes
