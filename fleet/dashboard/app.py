"""Puts the dashboard on the server's application: its pages, the way in and out, and the guard before them."""

from __future__ import annotations

import asyncio
from html import escape
from string import Template

from fastapi import FastAPI
from nicegui import app as pages
from nicegui import ui
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from fleet.dashboard import device, devices, overview, releases, rollout, rollout_form, rollouts
from fleet.dashboard.feed import Feed
from fleet.dashboard.guard import Guard
from fleet.dashboard.orders import Orders
from fleet.dashboard.ports import Services
from fleet.dashboard.session import COOKIE, SESSION_S, Sessions, read_login, write_login
from fleet.dashboard.theme import STATIC, STATIC_URL, Frame

# Changes kept for a browser whose connection drops for a moment; past this it loads the page again.
MAX_MESSAGES_KEPT = 50
RECONNECT_S = 10.0
STATIC_AGE_S = 24 * 3600


def mount(app: FastAPI, services: Services, storage_secret: str) -> None:
    """Add the dashboard to `app`, once per process and after all other routes: it takes every path that is left.

    `storage_secret` signs the session cookies.
    """
    sessions = Sessions(
        lambda code: services.access.redeem_code(code, services.now()), lambda name: services.access.named(name, services.now())
    )
    orders = Orders(services, sessions.caller_of)
    feed, frame = Feed(services), Frame(sessions, orders)
    pages.add_static_files(STATIC_URL, STATIC, max_cache_age=STATIC_AGE_S)
    _add_way_in_and_out(sessions)
    for showing in (overview, rollouts, releases):
        showing.register(feed, frame)
    for ordering in (devices, device, rollout_form, rollout):
        ordering.register(feed, frame, orders)
    pages.add_middleware(Guard, sessions=sessions)
    ui.run_with(
        app,
        title="fieldfare",
        favicon=STATIC / "icon.svg",
        dark=None,
        language="en-US",
        binding_refresh_interval=None,
        reconnect_timeout=RECONNECT_S,
        message_history_length=MAX_MESSAGES_KEPT,
        tailwind=False,
        show_welcome_message=False,
        storage_secret=storage_secret,
        # Lax, so that a link in a chat or mail may open a page; the framework adds httponly.
        session_middleware_kwargs={"session_cookie": COOKIE, "max_age": SESSION_S, "same_site": "lax"},
    )


def _add_way_in_and_out(sessions: Sessions) -> None:
    form = Template((STATIC / "login.html").read_text())

    def ask(title: str, advice: str, status: int) -> Response:
        text = form.substitute(title=escape(title), advice=escape(advice))
        return HTMLResponse(text, status_code=status, headers={"Cache-Control": "no-store"})

    @pages.get("/login", include_in_schema=False)
    async def login(request: Request, code: str = "") -> Response:
        """Redeem a code; nothing else in the address has a say in where the browser goes next."""
        if found := await asyncio.to_thread(sessions.redeem, code) if code else None:
            write_login(request.session, found)
            return RedirectResponse("/", status_code=303, headers={"Cache-Control": "no-store"})
        if sessions.is_open(read_login(request.session)):
            return RedirectResponse("/", status_code=303)
        if code:
            return ask("This link does not work any more", "It was used before, or is too old. Get a new one on the server's machine:", 401)
        return ask("Sign in to your fleet", "Get a link on the server's machine:", 200)

    @pages.post("/logout", include_in_schema=False)
    async def logout(request: Request) -> Response:
        if found := read_login(request.session):
            sessions.end(found)
        request.session.clear()
        return RedirectResponse("/login", status_code=303)
