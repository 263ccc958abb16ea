"""The API's part in people who sign in by a password; passwords come in, and never go out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from fleet.north.ports import Services
from fleet.requests.access import NewPassword, NewRole, NewUser, UserName
from fleet.views.access import UserView

Name = Annotated[UserName, Path()]


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()
    people = services.people

    @routes.get("/users", tags=["access"])
    def get_users() -> tuple[UserView, ...]:
        """List the people who sign in by a password."""
        return people.users()

    @routes.post("/users", status_code=204, tags=["access"])
    def add_user(new: NewUser) -> None:
        """Let a person sign in by a password of at least 12 characters."""
        people.add(new, services.now())

    @routes.put("/users/{name}/password", status_code=204, tags=["access"])
    def set_password_of_user(name: Name, new: NewPassword) -> None:
        """Set another password, and end the person's sessions."""
        people.set_password(name, new, services.now())

    @routes.put("/users/{name}/role", status_code=204, tags=["access"])
    def set_role_of_user(name: Name, new: NewRole) -> None:
        """Set another role, and end the person's sessions."""
        people.set_role(name, new, services.now())

    @routes.delete("/users/{name}", status_code=204, tags=["access"])
    def remove_user(name: Name) -> None:
        """Let a person in no more, and end the sessions."""
        people.remove(name)

    return routes
