"""Reads the audit log page by page, and keeps the acts that change nothing else in the database."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, or_, select, true

from fleet.acting import Acting, acting
from fleet.core.audit import LinkedEntry
from fleet.store.database import Database
from fleet.store.tables import audit

KINDS = ("user", "openid", "token")


class AuditStore:
    """Rows are only ever added; the database itself refuses to change or delete one."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def add(self, act: Acting) -> None:
        """Keep an act, unless a change of the database kept it already."""
        with acting(act), self._database.writing():
            pass  # whoever writes keeps the act under way

    def page(
        self, after: int | None, limit: int, *, is_newest_first: bool = False, since: datetime | None = None, who: str = "", what: str = ""
    ) -> tuple[LinkedEntry, ...]:
        """Return rows that follow row `after`, in either direction; `who` is a name, `what` a word or its beginning up to a dot."""
        number = audit.c.number
        follows = true() if after is None else number < after if is_newest_first else number > after
        query = select(audit).where(follows, _matching(since, who, what)).order_by(number.desc() if is_newest_first else number)
        with self._database.reading() as connection:
            return tuple(LinkedEntry.model_validate(dict(row)) for row in connection.execute(query.limit(limit)).mappings())


def _matching(since: datetime | None, who: str, what: str) -> ColumnElement[bool]:
    found: ColumnElement[bool] = true()
    if since is not None:
        found &= audit.c.at >= since
    if who:
        found &= audit.c.who.in_([who, *(f"{kind} {who}" for kind in KINDS)])
    if what:
        found &= or_(audit.c.what == what, audit.c.what.startswith(f"{what}.", autoescape=True))
    return found
