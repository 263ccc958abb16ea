"""A small form in a dialog: a few fields, and what was said in them."""

from __future__ import annotations

from collections.abc import Mapping

from nicegui import ui

# The framework's fields that a form has.
Field = ui.input | ui.select


class Form:
    """It is asked once."""

    def __init__(self, title: str, advice: str) -> None:
        """Begin it; fields follow in the order in which they are added."""
        self._fields: dict[str, Field] = {}
        self._dialog = ui.dialog()
        with (
            self._dialog,
            ui.element("form").classes("ff-dialog").props(f'role=dialog aria-modal=true aria-label="{title}"') as self._place,
        ):
            with ui.element("h2"):
                ui.label(title)
            if advice:
                ui.label(advice)

    def text(self, name: str, label: str, value: str = "") -> None:
        """Add a line of text."""
        with self._place:
            self._fields[name] = ui.input(label, value=value).props("outlined dense autocomplete=off").classes("ff-field")

    def choice(self, name: str, label: str, options: Mapping[str, str]) -> None:
        """Add a choice; the first is chosen."""
        with self._place:
            field = ui.select(dict(options), label=label, value=next(iter(options)))
            self._fields[name] = field.props("outlined dense options-dense").classes("ff-field")

    async def ask(self, verb: str) -> dict[str, str] | None:
        """Return what was said, by field; None for a no."""
        with self._place, ui.element("div").classes("ff-dialog-bar"):
            ui.button("Cancel", on_click=lambda: self._dialog.submit(False), color=None).props("flat no-caps type=button").classes(
                "ff-button"
            )
            ui.button(verb, color=None).props("flat no-caps type=submit").classes("ff-button ff-button-main")
        self._place.on("submit.prevent", lambda: self._dialog.submit(True), [])
        said = await self._dialog
        found = {name: str(field.value or "") for name, field in self._fields.items()}
        self._dialog.delete()
        return found if said else None
