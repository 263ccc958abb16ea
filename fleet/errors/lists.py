"""The errors of lists that are read page by page."""

from __future__ import annotations

from fleet.errors import FleetError


class CursorError(FleetError):
    """A cursor leads nowhere."""

    def __init__(self, of: str) -> None:
        super().__init__(f"cursor: expected the `next` of another page of {of}, found something else; begin again without a cursor")


class EndlessListError(FleetError):
    """A server gives page after page."""

    def __init__(self, path: str, pages: int) -> None:
        super().__init__(f"{path}: expected the last page within {pages}, found another one; ask for less")
