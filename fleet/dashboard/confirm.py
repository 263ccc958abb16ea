"""Asks before anything happens: what exactly would happen, and to how many devices."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from nicegui import ui

from contracts.errors import FieldfareError

ERROR_S = 15.0


@dataclass(frozen=True)
class Ask:
    """A question before an act: `verb` stands on the button that says yes."""

    title: str
    lines: tuple[str, ...]
    verb: str
    is_grave: bool = False


async def confirmed(ask: Ask) -> bool:
    """Return whether the reader said yes; Escape, the backdrop and the other button are a no."""
    with ui.dialog() as dialog, ui.element("div").classes("ff-dialog").props(f'role=alertdialog aria-modal=true aria-label="{ask.title}"'):
        with ui.element("h2"):
            ui.label(ask.title)
        for line in ask.lines:
            ui.label(line)
        with ui.element("div").classes("ff-dialog-bar"):
            ui.button("Leave it", on_click=lambda: dialog.submit(False), color=None).props("flat no-caps autofocus").classes("ff-button")
            tone = "ff-button ff-button-grave" if ask.is_grave else "ff-button ff-button-main"
            ui.button(ask.verb, on_click=lambda: dialog.submit(True), color=None).props("flat no-caps").classes(tone)
    said = await dialog
    dialog.delete()
    return bool(said)


def tell(text: str) -> None:
    """Say that something was done, to eyes and to screen readers."""
    ui.notify(text, position="bottom", classes="ff-told", attrs={"role": "status"})


async def attempt(act: Callable[[], Awaitable[str]]) -> bool:
    """Do something and tell what came of it; an error is a plain message that stays for a while. Returns whether it was done."""
    try:
        done = await act()
    except FieldfareError as error:
        ui.notify(
            str(error), position="bottom", timeout=ERROR_S * 1000, close_button="Close", multi_line=True, classes="ff-told ff-told-bad"
        )
        return False
    if done:
        tell(done)
    return True
