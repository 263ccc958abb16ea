"""How every list of the API is asked for page by page."""

from __future__ import annotations

from typing import Annotated, TypeVar

from fastapi import Query

from fleet.core.pages import MAX_CURSOR_CHARS, Key, Part, read_cursor, write_cursor
from fleet.views.pages import MAX_LIMIT, Page

Item = TypeVar("Item")

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many items the page has at most.")]
Cursor = Annotated[
    str | None, Query(max_length=MAX_CURSOR_CHARS, description="The `next` of the page before; without it the list's first page.")
]
Where = Annotated[str, Query(max_length=1000, description="Only devices that this query means; docs/targeting.md tells its words.")]
DEFAULT_LIMIT = 100


class Pages:
    """One list: its name, and of what kinds its keys are."""

    def __init__(self, of: str, *kinds: type[str] | type[int]) -> None:
        """Name it as cursors shall."""
        self._of = of
        self._kinds = kinds

    def key(self, cursor: str | None) -> Key | None:
        """Return after which key the page begins; raise CursorError."""
        return read_cursor(self._of, cursor, self._kinds)

    def name(self, cursor: str | None) -> str:
        """Return after which name the page of a list by name begins, empty for its first; raise CursorError."""
        last = self.key(cursor)
        return "" if last is None else str(last[0])

    def cursor(self, last: Key | None) -> str | None:
        """Return what leads to the next page."""
        return write_cursor(self._of, last)

    def page(self, part: Part[Item]) -> Page[Item]:
        """Return a part as a page."""
        return Page[Item](items=part.items, next=self.cursor(part.last))
