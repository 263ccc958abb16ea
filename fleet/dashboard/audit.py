"""The page of the audit log, for admins: who did what, newest first, a page at a time."""

from __future__ import annotations

import asyncio
from functools import partial
from urllib.parse import urlencode

from nicegui import ui
from starlette.requests import Request

from fleet.core.audit import LinkedEntry
from fleet.core.roles import Role
from fleet.dashboard.guard import signed_in
from fleet.dashboard.parts import ago, empty, heading, mono, row, table
from fleet.dashboard.ports import AuditLog
from fleet.dashboard.theme import FIRST_ANSWER_S, Frame

ROWS = 50
COLUMNS = ["Number", "When", "Who", "Role", "From", "What", "On", "Outcome", "Asked for", "Digest"]


def register(log: AuditLog, frame: Frame) -> None:
    """Add the page."""

    @ui.page("/audit", response_timeout=FIRST_ANSWER_S)
    async def audit_page(request: Request, before: int | None = None, who: str = "", what: str = "") -> None:
        caller = signed_in(request)
        async with frame.page(request, "Audit", under="/audit"):
            heading("Audit log", 1)
            if caller.role < Role.ADMIN:
                ui.label(f"This takes the role admin; yours is {caller.role.word}.").classes("ff-trouble")
                return
            found = await asyncio.to_thread(partial(log.page, before, ROWS + 1, is_newest_first=True, who=who[:80], what=what[:64]))
            _draw(found[:ROWS])
            if len(found) > ROWS:
                query = urlencode({"before": found[ROWS - 1].number, "who": who, "what": what})
                ui.link("Earlier", f"/audit?{query}")


def _draw(entries: tuple[LinkedEntry, ...]) -> None:
    if not entries:
        empty("Nothing here", "No act that was looked for has been kept.", "fieldfare audit list")
        return
    with ui.element("section").classes("ff-panel"), table(COLUMNS):
        for entry in entries:
            row(
                str(entry.number),
                partial(ago, entry.at),
                entry.who,
                entry.role,
                entry.source,
                entry.what,
                entry.subject,
                entry.outcome,
                entry.detail,
                partial(mono, entry.sha256[:12], entry.sha256),
            )
    ui.label("Check the whole log, and keep its newest digest elsewhere: fieldfare audit verify").classes("ff-muted")
