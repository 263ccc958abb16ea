"""The API's part in the audit log: its rows, page by page; nobody changes them here or anywhere."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from fleet.north.ports import Services
from fleet.views.access import AuditPage

# The number of the last row that was seen.
Cursor = Annotated[str | None, Query(pattern=r"^[0-9]{1,18}$")]


def router(services: Services) -> APIRouter:
    """Return the route."""
    routes = APIRouter()

    @routes.get("/audit", tags=["access"])
    def list_acts(
        cursor: Cursor = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        order: Literal["newest", "oldest"] = "newest",
        since: AwareDatetime | None = None,
        who: Annotated[str, Query(max_length=80)] = "",
        what: Annotated[str, Query(max_length=64)] = "",
    ) -> AuditPage:
        """List the rows of the audit log, in either direction; `who` is a name, `what` an act or its beginning up to a dot."""
        after = None if cursor is None else int(cursor)
        found = services.audit.page(after, limit + 1, is_newest_first=order == "newest", since=since, who=who, what=what)
        return AuditPage(items=found[:limit], next=str(found[limit - 1].number) if len(found) > limit else None)

    return routes
