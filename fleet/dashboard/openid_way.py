"""The way in by an identity provider's word: off to it, and back with what it says."""

from __future__ import annotations

import asyncio
import secrets

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fleet.dashboard.guard import OPENID_PATHS, address_of
from fleet.dashboard.session import Login, OpenIdDesk
from fleet.dashboard.way_in import NOT_KEPT, WayIn
from fleet.errors.openid import NoRoleError, OpenIdError

# Where a cookie says that its browser is at the provider.
_TRIP = "trip"


class OpenIdWay:
    """Two routes: there and back."""

    def __init__(self, openid: OpenIdDesk, way_in: WayIn) -> None:
        """Say by `way_in`'s page what went wrong."""
        self._openid = openid
        self._way_in = way_in

    def add_to(self, pages: FastAPI) -> None:
        """Add the routes."""
        pages.get(OPENID_PATHS[0], include_in_schema=False)(self.leave)
        pages.get(OPENID_PATHS[1], include_in_schema=False)(self.come_back)

    async def leave(self, request: Request) -> Response:
        """Send a browser to the provider; a key in its cookie tells it again when it comes back."""
        browser = secrets.token_urlsafe(32)
        try:
            there = await asyncio.to_thread(self._openid.begin, browser, request.url.scheme)
        except OpenIdError:
            return self._way_in.ask("The identity provider cannot be reached just now.", 502)
        request.session[_TRIP] = browser
        return RedirectResponse(there, status_code=303, headers=NOT_KEPT)

    async def come_back(self, request: Request) -> Response:
        """Let somebody in by the provider's word; more of what was wrong with it is for the audit log."""
        browser, returned = str(request.session.pop(_TRIP, "")), dict(request.query_params)
        try:
            key = await asyncio.to_thread(self._openid.finish, browser, returned, address_of(request.client))
        except NoRoleError as error:
            return self._way_in.ask(f"You are known as {error.name}, and may do nothing here. Ask an admin of the fleet for a role.", 403)
        except OpenIdError as error:
            return self._way_in.ask(f"The identity provider's answer was not taken ({error.kind.replace('_', ' ')}). Try again.", 401)
        return self._way_in.enter(request, Login(key))
