"""Lets only those in who show a bearer token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from fleet.errors import UnauthorizedError
from fleet.north.ports import Access

BEARER = HTTPBearer(auto_error=False)
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]


def bearer_check(access: Access) -> Callable[[HTTPAuthorizationCredentials | None], None]:
    """Return the dependency that guards a router; it raises UnauthorizedError."""

    def check(credentials: Credentials) -> None:
        if credentials is None or not access.is_token(credentials.credentials):
            raise UnauthorizedError

    return check
