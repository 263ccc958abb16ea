"""A button that stays where it is and can be reached by key even while it may not be used: then it says why."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import ui

from fleet.dashboard.confirm import tell


class ActButton:
    """One act; it is built once, so that nobody loses the focus when the page is brought up to date."""

    def __init__(
        self, text: str, icon: str, on_click: Callable[[], Awaitable[None]], *, is_grave: bool = False, is_main: bool = False
    ) -> None:
        """Take the place; until the first `show` it may not be used."""
        self._on_click = on_click
        self._obstacle: str | None = None
        self._button = ui.button(text, icon=icon, on_click=self._clicked, color=None)
        self._button.props("flat no-caps").classes("ff-button")
        self._button.classes("ff-button-grave" if is_grave else "ff-button-main" if is_main else "")
        self.show("Not known yet.")

    def show(self, obstacle: str, *, is_there: bool = True) -> None:
        """Let it be used where `obstacle` is empty; else grey it and say why."""
        self._button.set_visibility(is_there)
        if obstacle == self._obstacle:
            return
        self._obstacle = obstacle
        self._button.props["aria-disabled"] = "true" if obstacle else "false"
        self._button.props["title"] = obstacle
        # Screen readers read a name reliably, a title not always.
        self._button.props["aria-label"] = f"{self._button.text}: {obstacle}" if obstacle else self._button.text
        self._button.classes(add="ff-off" if obstacle else "", remove="" if obstacle else "ff-off")
        self._button.update()

    async def _clicked(self) -> None:
        if self._obstacle:
            tell(self._obstacle)
        else:
            await self._on_click()
