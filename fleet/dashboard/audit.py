"""The page of the audit log, for admins: who did what, newest first, a page at a time."""

from __future__ import annotations

import asyncio
from functools import partial
from urllib.parse import urlencode

from nicegui import ui
from starlette.requests import Request

from fleet.core.audit import LinkedEntry
from fleet.dashboard.guard import signed_in
from fleet.dashboard.orders import obstacle
from fleet.dashboard.parts import ago, empty, heading, mono, no_entry, row, table
from fleet.dashboard.ports import AuditLog
from fleet.dashboard.theme import FIRST_ANSWER_S, Frame

ROWS = 50
# On a phone the first ones are seen without scrolling.
COLUMNS = ["When", "Who", "What", "On", "Outcome", "Asked for", "Role", "From", "Number", "Digest"]


def register(log: AuditLog, frame: Frame) -> None:
    """Add the page."""

    @ui.page("/audit", response_timeout=FIRST_ANSWER_S)
    async def audit_page(request: Request, before: int | None = None, who: str = "", what: str = "") -> None:
        caller = signed_in(request)
        async with frame.page(request, "Audit", under="/audit"):
            heading("Audit log", 1)
            if why := obstacle(caller, ("GET", "/audit")):
                no_entry(why)
                return
            _draw_filter(who, what)
            if before is not None:
                ui.link("Newest", f"/audit?{urlencode({'who': who, 'what': what})}")
            found = await asyncio.to_thread(partial(log.page, before, ROWS + 1, is_newest_first=True, who=who[:80], what=what[:64]))
            _draw(found[:ROWS])
            if len(found) > ROWS:
                query = urlencode({"before": found[ROWS - 1].number, "who": who, "what": what})
                ui.link("Earlier", f"/audit?{query}")


def _draw_filter(who: str, what: str) -> None:
    with ui.element("form").classes("ff-search").props('role=search method=get action="/audit"'):
        for name, label, value in (("who", "Who, such as anna", who), ("what", "What, such as rollouts or login", what)):
            field = (
                ui.element("input").classes("ff-plain-field").props(f'type=search name={name} aria-label="{label}" placeholder="{label}"')
            )
            field.props["value"] = value
        with ui.element("button").classes("ff-button ff-button-main ff-button-link").props("type=submit"):
            ui.label("Filter")


def _draw(entries: tuple[LinkedEntry, ...]) -> None:
    if not entries:
        empty("Nothing here", "No act that was looked for has been kept.", "fieldfare audit list")
        return
    with ui.element("section").classes("ff-panel"), table(COLUMNS):
        for entry in entries:
            row(
                partial(ago, entry.at),
                entry.who,
                entry.what,
                entry.subject,
                entry.outcome,
                entry.detail,
                entry.role,
                entry.source,
                str(entry.number),
                partial(mono, entry.sha256[:12], entry.sha256),
            )
    ui.label("Check the whole log, and keep its newest digest elsewhere: fieldfare audit verify").classes("ff-muted")
