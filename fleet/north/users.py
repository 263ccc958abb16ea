"""The API's part in people who sign in by a password; passwords come in, and never go out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from fleet.north.ports import Services
from fleet.requests import NewPassword, NewRole, NewUser, UserName
from fleet.views import UserView

Name = Annotated[UserName, Path()]


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()
    people = services.people

    @routes.get("/users")
    def users() -> tuple[UserView, ...]:
        return people.users()

    @routes.post("/users", status_code=204)
    def add_user(new: NewUser) -> None:
        people.add(new, services.now())

    @routes.put("/users/{name}/password", status_code=204)
    def set_password(name: Name, new: NewPassword) -> None:
        people.set_password(name, new, services.now())

    @routes.put("/users/{name}/role", status_code=204)
    def set_role(name: Name, new: NewRole) -> None:
        people.set_role(name, new, services.now())

    @routes.delete("/users/{name}", status_code=204)
    def remove_user(name: Name) -> None:
        people.remove(name)

    return routes
