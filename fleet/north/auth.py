"""Lets only those in who show a bearer token, and each only where its role may go."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from fleet.acting import introduce, naming
from fleet.core.audit import what_of
from fleet.core.roles import NEEDED, Caller, Role, may
from fleet.errors.client import UnauthorizedError
from fleet.errors.enrolment import ForbiddenError
from fleet.north.ports import Access

BEARER = HTTPBearer(auto_error=False)
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]
# The catch-all behind the API's routes tells everybody with a token that there is nothing.
NOTHING = "/{path:path}"


def caller_of(request: Request) -> Caller:
    """Return who asks, on a route that is guarded."""
    caller: Caller = request.state.caller
    return caller


def bearer_check(
    access: Access, prefix: str, now: Callable[[], datetime]
) -> Callable[[Request, HTTPAuthorizationCredentials | None], None]:
    """Return the dependency that guards the routes below `prefix`; it raises UnauthorizedError or ForbiddenError."""

    def check(request: Request, credentials: Credentials) -> None:
        caller = None if credentials is None else access.caller_of(credentials.credentials, now())
        if caller is None:
            raise UnauthorizedError
        request.state.caller = caller
        path: str = request.scope["route"].path.removeprefix(prefix)
        introduce(caller.who, caller.role.word)
        naming(what_of(request.method, path), " ".join(request.path_params.values()))
        if path != NOTHING and not may(caller.role, request.method, path):
            needed: Role | None = NEEDED.get((request.method, path))
            raise ForbiddenError("nobody has" if needed is None else needed.word, caller.role.word)

    return check
