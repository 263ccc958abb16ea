"""The one way by which a page changes anything: it asks who is at the browser, whether that role may, and only then acts."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from fleet.acting import Acting, acting
from fleet.core.audit import what_of
from fleet.core.roles import NEEDED, Caller, Role, may
from fleet.dashboard.ports import Services
from fleet.dashboard.session import Login
from fleet.errors.dashboard import SignedOutError
from fleet.errors.enrolment import ForbiddenError

Answer = TypeVar("Answer")
# Method and path of the API's route that does the same: roles are decided in one place.
Route = tuple[str, str]


def obstacle(caller: Caller | None, route: Route) -> str:
    """Say why somebody may not use a route; empty where he may."""
    if caller is None:
        return "Sign in again."
    needed: Role | None = NEEDED.get(route)
    return (
        "" if may(caller.role, *route) else f"This takes the role {needed.word if needed else 'nobody has'}; yours is {caller.role.word}."
    )


class Orders:
    """Asks anew with every order, so that a role that was taken away is worth nothing in an open page."""

    def __init__(self, services: Services, caller_of: Callable[[Login | None], Caller | None]) -> None:
        """Give orders to these desks; `caller_of` says who is at a browser now, and may block."""
        self.services = services
        self.caller_of = caller_of

    async def give(
        self, login: Login | None, route: Route, act: Callable[[Caller, datetime], Answer], needed: Role = Role.VIEWER
    ) -> Answer:
        """Return what `act` returns; raise SignedOutError, ForbiddenError, or what it raises. `needed` adds to the route's own role."""

        def do() -> Answer:
            caller = self.caller_of(login)
            if caller is None:
                raise SignedOutError
            if not may(caller.role, *route) or caller.role < needed:
                wanted = max(NEEDED.get(route, Role.ADMIN), needed)
                raise ForbiddenError(wanted.word, caller.role.word)
            now = self.services.now()
            # The change that it leads to is kept together with whose it was.
            with acting(Acting(now, "dashboard", what_of(*route), caller.name, caller.role.word, request=secrets.token_hex(8))):
                return act(caller, now)

        return await asyncio.to_thread(do)
