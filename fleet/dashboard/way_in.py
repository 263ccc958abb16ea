"""The way in and out: a name and a password, a link that the server gave, or another's word for it; and back out again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from html import escape
from string import Template

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from fleet.dashboard.guard import OPENID_PATHS, address_of
from fleet.dashboard.posted import NAME_CHARS, PASSWORD_CHARS, posted
from fleet.dashboard.session import Login, Sessions, read_login, write_login
from fleet.dashboard.theme import STATIC
from fleet.errors.openid import OpenIdError
from fleet.errors.people import LoginRefusedError, TooBusyError, TooManyLoginsError

FIELDS = {"name": NAME_CHARS, "password": PASSWORD_CHARS}
# Attempts; each takes a quarter of a second.
MAX_WAITING = 20
OPENID_LINK = f'<a class="ff-button" href="{OPENID_PATHS[0]}">Sign in with your organisation</a>'
NOT_KEPT = {"Cache-Control": "no-store"}
LINK_IS_USED = "This link does not work any more: it was used before, or is too old."


class WayIn:
    """The page that asks who somebody is."""

    def __init__(self, sessions: Sessions) -> None:
        """Ask by the form in login.html."""
        self._sessions = sessions
        self._openid = sessions.openid
        self._turn = CapacityLimiter(1)
        self._form = Template((STATIC / "login.html").read_text())

    def add_to(self, pages: FastAPI) -> None:
        """Add the routes."""
        pages.get("/login", include_in_schema=False)(self.look)
        pages.post("/login", include_in_schema=False)(self.sign_in)
        pages.post("/logout", include_in_schema=False)(self.sign_out)

    async def look(self, request: Request, code: str = "") -> Response:
        """Redeem a code, or ask; nothing else in the address has a say in where the browser goes next."""
        if found := await asyncio.to_thread(self._sessions.redeem, code, address_of(request.client)) if code else None:
            return self.enter(request, found)
        if await asyncio.to_thread(self._sessions.is_open, read_login(request.session)):
            return RedirectResponse("/", status_code=303)
        return self.ask(LINK_IS_USED, 401) if code else self.ask("", 200)

    async def sign_in(self, request: Request) -> Response:
        """Let a person in by name and password."""
        form = await posted(request, FIELDS)
        if form is None:
            return self.ask("This is no form that was filled in here.", 413)
        try:
            key = await self.in_turn(
                partial(self._sessions.desk.sign_in, form["name"].strip(), form["password"], address_of(request.client))
            )
        except LoginRefusedError:
            return self.ask("This name and this password do not belong together.", 401)
        except TooManyLoginsError as error:
            return self.ask(f"Too many attempts failed. Wait {error.wait_s} s, then try again.", 429, {"Retry-After": str(error.wait_s)})
        except TooBusyError:
            return self.ask("Too many others are signing in just now. Try again in a moment.", 503)
        return self.enter(request, Login(key))

    async def in_turn(self, sign_in: Callable[[], str]) -> str:
        """Let one attempt after the other compute, in a thread that nothing else waits for; raise TooBusyError and what it raises."""
        if self._turn.statistics().tasks_waiting >= MAX_WAITING:
            raise TooBusyError
        return await to_thread.run_sync(sign_in, limiter=self._turn)

    async def sign_out(self, request: Request) -> Response:
        """End the session, in every tab; whoever came by the provider's word is told where to end that, too."""
        found = read_login(request.session)
        caller = await asyncio.to_thread(self._sessions.caller_of, found)
        if found is not None:
            await asyncio.to_thread(self._sessions.desk.sign_out, found.key, address_of(request.client))
        request.session.clear()
        link = ""
        if self._openid is not None and caller is not None and caller.kind == "openid":
            with suppress(OpenIdError):  # who is signed out here is so, whatever becomes of the provider
                way_out = await asyncio.to_thread(self._openid.way_out, request.url.scheme)
                link = f'<a class="ff-button" href="{escape(way_out)}">Sign out of your organisation, too</a>' if way_out else ""
        return self.ask("", 200, link=link) if link else RedirectResponse("/login", status_code=303)

    def enter(self, request: Request, login: Login) -> Response:
        """Begin a session; one that this browser had before is left behind."""
        write_login(request.session, login)
        return RedirectResponse("/", status_code=303, headers=NOT_KEPT)

    def ask(self, trouble: str, status: int, headers: dict[str, str] | None = None, link: str = "") -> Response:
        """Return the page, with what went wrong, and where else to go."""
        alert = f'<p class="ff-trouble" role="alert">{escape(trouble)}</p>' if trouble else ""
        text = self._form.substitute(trouble=alert, link=link, openid=OPENID_LINK if self._openid else "")
        return HTMLResponse(text, status_code=status, headers={**NOT_KEPT, **(headers or {})})
