"""Builds the dashboard: its pages, the way in and out, and the guard before them."""

from __future__ import annotations

from fastapi import FastAPI
from nicegui import app as pages
from nicegui import ui

from fleet.dashboard import account, audit, device, device_settings, devices, overview, releases, rollout, rollout_form, rollouts
from fleet.dashboard.feed import Feed
from fleet.dashboard.guard import Guard
from fleet.dashboard.openid_way import OpenIdWay
from fleet.dashboard.orders import Orders
from fleet.dashboard.ports import AuditLog, Services
from fleet.dashboard.session import COOKIE, SESSION_S, Sessions
from fleet.dashboard.theme import STATIC, STATIC_URL, Frame
from fleet.dashboard.way_in import WayIn

# Changes kept for a browser whose connection drops for a moment; past this it loads the page again.
MAX_MESSAGES_KEPT = 50
RECONNECT_S = 10.0
STATIC_AGE_S = 24 * 3600


def build_pages(services: Services, sessions: Sessions, log: AuditLog, storage_secret: str) -> FastAPI:
    """Return the dashboard as an application of its own, once per process: the framework keeps its pages in one place.

    `sessions` lets people in; `storage_secret` signs the cookies.
    """
    app = FastAPI(openapi_url=None)
    orders = Orders(services, sessions.caller_of, log)
    feed, frame = Feed(services), Frame(sessions)
    pages.add_static_files(STATIC_URL, STATIC, max_cache_age=STATIC_AGE_S)
    way_in = WayIn(sessions)
    way_in.add_to(pages)
    account.OwnPassword(sessions, way_in).add_to(pages)
    if sessions.openid is not None:
        OpenIdWay(sessions.openid, way_in).add_to(pages)
    for showing in (overview, rollouts, releases):
        showing.register(feed, frame)
    for ordering in (devices, device, device_settings, rollout_form, rollout):
        ordering.register(feed, frame, orders)
    audit.register(log, frame)
    account.register(frame)
    pages.add_middleware(Guard, sessions=sessions, log=log, now=services.now)
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
    return app
