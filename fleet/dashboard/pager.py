"""Steps through a long list page by page: which part is shown, of how many, and the buttons back and forth."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import ui


def span_of(start: int, shown: int, total: int) -> str:
    """Say which part of a list is shown."""
    return f"{start + 1}–{start + shown} of {total}" if shown else f"none of {total}" if total else "none"


class Pager:
    """Two buttons and a line between them."""

    def __init__(self, size: int, turn: Callable[[], Awaitable[None]]) -> None:
        """Call `turn` when another page is to be shown, which begins at `start`."""
        self.start = 0
        self._size = size
        self._turn = turn
        with ui.element("nav").classes("ff-pager").props('aria-label="Parts of the list"'):
            self._back = ui.button(icon="chevron_left", on_click=lambda: self._go(-1), color=None)
            self._back.props('flat dense round aria-label="Previous page"').classes("ff-button")
            self._text = ui.label().props("role=status")
            self._forth = ui.button(icon="chevron_right", on_click=lambda: self._go(1), color=None)
            self._forth.props('flat dense round aria-label="Next page"').classes("ff-button")

    def show(self, shown: int, total: int) -> None:
        """Say what is shown; a page that is no longer there gives way to the last one."""
        self._text.set_text(span_of(self.start, shown, total))
        self._back.set_enabled(self.start > 0)
        self._forth.set_enabled(self.start + self._size < total)

    def first(self) -> None:
        """Begin anew, because the list is another one."""
        self.start = 0

    async def _go(self, pages: int) -> None:
        self.start = max(0, self.start + pages * self._size)
        await self._turn()
