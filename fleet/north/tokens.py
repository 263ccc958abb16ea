"""The API's part in who may use it: tokens for people and programs."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Request

from fleet.core.pages import part_of
from fleet.core.roles import ROLE_BY_WORD
from fleet.north.auth import caller_of
from fleet.north.pages import DEFAULT_LIMIT, Cursor, Limit, Pages
from fleet.north.ports import Services
from fleet.requests.access import GivenAccess, LoginLink, NewToken, TokenName
from fleet.views.access import TokenView
from fleet.views.pages import Page

TOKENS = Pages("tokens", str)
LOGIN_LINK_LIFE = timedelta(hours=1)


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["access"])
    access = services.access

    @routes.get("/tokens")
    def list_tokens(limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Page[TokenView]:
        """List API tokens by name, without their secrets."""
        last = TOKENS.key(cursor)
        found = access.tokens(limit + 1, "" if last is None else str(last[0]))
        return TOKENS.page(part_of(found, limit, lambda token: token, lambda token: (token.name,)))

    @routes.post("/tokens", status_code=201)
    def add_token(new: NewToken) -> GivenAccess:
        """Make an API token; its secret is told this once."""
        token, now = secrets.token_urlsafe(32), services.now()
        expires_at = None if new.life_s is None else now + timedelta(seconds=new.life_s)
        access.add_token(token, new.name, ROLE_BY_WORD[new.role], expires_at, now)
        return GivenAccess(name=new.name, token=token, url=services.addresses.public_url, ca=services.addresses.authority)

    @routes.delete("/tokens/{name}", status_code=204)
    def revoke_token(name: Annotated[TokenName, Path()]) -> None:
        """Let a token in no more."""
        access.revoke_token(name)

    @routes.post("/login-links", status_code=201)
    def make_login_link(request: Request) -> LoginLink:
        """Make a link that opens the dashboard once."""
        code, now = secrets.token_urlsafe(32), services.now()
        access.add_code(code, caller_of(request).name, now + LOGIN_LINK_LIFE, now)
        url = services.addresses.public_url if request.url.scheme == "https" else services.addresses.url
        return LoginLink(url=f"{url}/login?code={code}", expires_at=now + LOGIN_LINK_LIFE)

    return routes
