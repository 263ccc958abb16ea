"""Steps through a long list page by page: which part is shown, of how many, and the buttons back and forth."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import ui


def span_of(start: int, shown: int, total: int) -> str:
    """Say which part of a list is shown."""
    return f"{start + 1}–{start + shown} of {total}" if shown else f"none of {total}" if total else "none"


class Pager:
    """Buttons to either side, and a line between them."""

    def __init__(self, size: int, turn: Callable[[], Awaitable[None]]) -> None:
        """Call `turn` when another page is to be shown, which begins at `start`."""
        self.start = self._total = 0
        self._size = size
        self._turn = turn
        with ui.element("nav").classes("ff-pager").props('aria-label="Parts of the list"'):
            self._ways_back = [
                self._add_button("first_page", "First page", self._first),
                self._add_button("chevron_left", "Previous page", self._back),
            ]
            self._text = ui.label().props("role=status")
            self._ways_forth = [
                self._add_button("chevron_right", "Next page", self._forth),
                self._add_button("last_page", "Last page", self._last),
            ]

    def show(self, shown: int, total: int) -> None:
        """Say what is shown; a page that is no longer there gives way to the last one."""
        self._total = total
        self._text.set_text(span_of(self.start, shown, total))
        for button in self._ways_back:
            button.set_enabled(self.start > 0)
        for button in self._ways_forth:
            button.set_enabled(self.start + self._size < total)

    def first(self) -> None:
        """Begin anew, because the list is another one."""
        self.start = 0

    def _add_button(self, icon: str, name: str, go: Callable[[], int]) -> ui.button:
        async def press() -> None:
            self.start = go()
            await self._turn()

        return ui.button(icon=icon, on_click=press, color=None).props(f'flat dense round aria-label="{name}"').classes("ff-button")

    def _first(self) -> int:
        return 0

    def _back(self) -> int:
        return max(0, self.start - self._size)

    def _forth(self) -> int:
        return self.start + self._size

    def _last(self) -> int:
        return max(0, self._total - 1) // self._size * self._size
