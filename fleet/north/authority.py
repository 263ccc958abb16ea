"""The API's part in the fleet's own authority: how one root follows another."""

from __future__ import annotations

from fastapi import APIRouter

from fleet.north.pages import DEFAULT_LIMIT, Cursor, Limit, Pages
from fleet.north.ports import Services
from fleet.requests.authority import AuthorityState, Dependent, Retirement
from fleet.views.pages import Page

DEPENDENTS = Pages("authority dependents", str)


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["trust"])
    desk = services.succession

    @routes.get("/authority")
    def get_succession() -> AuthorityState:
        """Return the fleet's authority, the one that follows it, and how many devices depend on the present one."""
        return desk.state(services.now())

    @routes.get("/authority/dependents")
    def list_dependents(limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Page[Dependent]:
        """Return the devices that would be cut off without the present authority, by id; none while no other follows it."""
        return DEPENDENTS.page(desk.dependents(limit, DEPENDENTS.name(cursor), services.now()))

    @routes.post("/authority/successor", status_code=201)
    def make_successor() -> AuthorityState:
        """Make the next authority, which broker and devices believe beside the present one."""
        return desk.rotate(services.now())

    @routes.post("/authority/retirement")
    def retire_authority(order: Retirement) -> AuthorityState:
        """Let the present authority go when the server starts again, once no device depends on it."""
        return desk.finish(services.now(), leaves=order.leaves)

    return routes
