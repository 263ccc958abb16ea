"""The frame around every page: header, navigation, colours, and the beat at which a page is brought up to date."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from nicegui import context, ui
from starlette.requests import Request

from contracts.errors import FieldfareError
from fleet.core.roles import Caller, Role
from fleet.dashboard.guard import address_of, signed_in
from fleet.dashboard.session import Sessions, Visitor, read_login
from fleet.dashboard.words import LOOKS, words_of

STATIC = Path(__file__).parent / "static"
STATIC_URL = "/dashboard-static"
BEAT_S = 2.0
# Pages wait for their first answer; a large fleet on a small server takes its time.
FIRST_ANSWER_S = 30.0
PAGES = {"/": "Overview", "/devices": "Devices", "/rollouts": "Rollouts", "/releases": "Releases"}
ACCOUNT = "/account"
ADMINS_PAGES = {"/audit": "Audit"}
THEME_COOKIE = "fieldfare_theme"
THEMES: dict[str, tuple[bool | None, str]] = {
    "auto": (None, "brightness_auto"),
    "light": (False, "light_mode"),
    "dark": (True, "dark_mode"),
}
SIGN_OUT = '<form method="post" action="/logout"><button class="ff-quiet-button">Sign out</button></form>'


@dataclass(frozen=True)
class Page:
    """An open page, as its author sees it."""

    sessions: Sessions
    visitor: Visitor
    # Who looked when the page was opened; orders ask again.
    caller: Caller
    trouble: ui.label

    async def keep_fresh(self, refresh: Callable[[], Awaitable[None]]) -> None:
        """Call `refresh` now, and again at every beat for as long as the session is open."""
        await self._refresh(refresh)
        ui.timer(BEAT_S, lambda: self._refresh(refresh), immediate=False)

    async def _refresh(self, refresh: Callable[[], Awaitable[None]]) -> None:
        try:
            if not await asyncio.to_thread(self.sessions.is_open, self.visitor.login):
                ui.navigate.to("/login")
                return
            await refresh()
        except FieldfareError as error:
            self.trouble.set_text(f"Not up to date: {error}")
            self.trouble.set_visibility(True)
        else:
            self.trouble.set_visibility(False)


class Frame:
    """What all pages share."""

    def __init__(self, sessions: Sessions) -> None:
        """Pages of this frame live as long as their session."""
        self._sessions = sessions
        self._head = _head()

    @asynccontextmanager
    async def page(self, request: Request, title: str, *, under: str) -> AsyncIterator[Page]:
        """Open a page; `under` is the navigation entry it belongs to."""
        visitor = Visitor(read_login(request.session), address_of(request.client))
        caller = signed_in(request)
        ui.page_title(f"{title} · fieldfare")
        ui.add_head_html(self._head + f"<script>fieldfare.setServerTime({time.time() * 1000:.0f})</script>")
        # The framework puts a page's content into the document's one <main>; what leads elsewhere stands before it.
        with context.client.layout:
            _header(under, caller).move(target_index=0)
            ui.link("Skip to content", "#content").classes("ff-skip").move(target_index=0)
        with ui.element("div").classes("ff-main").props("id=content tabindex=-1"):
            trouble = ui.label().classes("ff-trouble").props("role=alert")
            trouble.set_visibility(False)
            yield Page(self._sessions, visitor, caller, trouble)


def _header(under: str, caller: Caller) -> ui.element:
    with ui.element("header").classes("ff-header") as header:
        with ui.link(target="/").classes("ff-brand").props('aria-label="fieldfare, the fleet"'):
            ui.element("img").props(f'src="{STATIC_URL}/icon.svg" alt="" width=24 height=24')
            ui.label("fieldfare")
        with ui.element("nav").classes("ff-nav").props('aria-label="Pages"'):
            for path, name in (PAGES | (ADMINS_PAGES if caller.role is Role.ADMIN else {})).items():
                link = ui.link(name, path)
                if path == under:
                    link.props("aria-current=page")
        ui.element("div").classes("ff-space")
        with ui.link(target=ACCOUNT).classes("ff-who") as link:
            # Not parsed as props are: an identity provider's names may hold anything.
            link.props["aria-label"] = f"Your account: {caller.name}, {caller.role.word}"
            ui.icon("account_circle").props("aria-hidden=true")
            ui.label(f"{caller.name} · {caller.role.word}")
            if under == ACCOUNT:
                link.props("aria-current=page")
        _theme_switch()
        ui.html(SIGN_OUT, sanitize=False)
    return header


def _theme_switch() -> None:
    cookies = context.client.request.cookies
    chosen = cookies.get(THEME_COOKIE, "auto")
    chosen = chosen if chosen in THEMES else "auto"
    dark = ui.dark_mode(THEMES[chosen][0])
    names = list(THEMES)

    def turn() -> None:
        nonlocal chosen
        chosen = names[(names.index(chosen) + 1) % len(names)]
        dark.set_value(THEMES[chosen][0])
        ui.run_javascript(f'document.cookie = "{THEME_COOKIE}={chosen}; path=/; max-age=31536000; samesite=lax"')
        show()

    def show() -> None:
        button.props(f'icon={THEMES[chosen][1]} aria-label="Colours: {chosen}; change"')
        hint.set_text(f"Colours: {chosen}")

    with ui.button(on_click=turn, color=None).props("flat round dense").classes("ff-theme") as button:
        hint = ui.tooltip("")
    show()


def _head() -> str:
    """Return links to our own style and script, by content, so that browsers keep them until they change."""
    looks = {state: {**asdict(look), "word": words_of(state)} for state, look in LOOKS.items()}
    style, script = (_stamped(name) for name in ("fieldfare.css", "fieldfare.js"))
    return f'<link rel="stylesheet" href="{style}"><script src="{script}"></script><script>fieldfare.setLooks({json.dumps(looks)})</script>'


def _stamped(name: str) -> str:
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()
    return f"{STATIC_URL}/{name}?{digest[:12]}"
