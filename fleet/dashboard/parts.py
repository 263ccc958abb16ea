"""The pieces that pages are made of: badges, facts, panels, empty states, and parts that are redrawn only when they change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Generic, TypeVar

from nicegui import ui

from fleet.dashboard.words import LOOKS, epoch_ms, words_of

Value = TypeVar("Value")


class Live(Generic[Value]):
    """A part of a page that is drawn anew only when what it shows has changed, so that nothing flickers."""

    def __init__(self, draw: Callable[[Value], None], classes: str = "") -> None:
        """Take the place; nothing is drawn yet."""
        self._draw = draw
        self._place = ui.element("div").classes(classes)
        self._shown: list[Value] = []

    def show(self, value: Value) -> None:
        """Draw `value`, unless it is what is there."""
        if self._shown == [value]:
            return
        self._shown = [value]
        self._place.clear()
        with self._place:
            self._draw(value)


def badge(state: str) -> None:
    """A state by icon, word and colour; hovering tells what it means."""
    look = LOOKS[state]
    with ui.element("span").classes(f"ff-badge ff-{look.tone}").props(f'title="{look.meaning}"'):
        ui.icon(look.icon).props("aria-hidden=true")
        ui.label(words_of(state))


def ago(moment: datetime | None) -> None:
    """A moment as its age, which the browser keeps counting."""
    if moment is None:
        ui.label("never")
        return
    stamp = f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    ui.element("time").classes("ff-ago").props(f'data-at={epoch_ms(moment)} datetime="{moment.isoformat()}" title="{stamp}"')


@contextmanager
def panel(title: str, classes: str = "") -> Iterator[ui.element]:
    """A titled card; yields its title bar."""
    with ui.element("section").classes(f"ff-panel {classes}"):
        with ui.element("div").classes("ff-panel-bar") as bar:
            heading(title, 2)
        yield bar


def heading(text: str, level: int) -> None:
    """A heading, for eyes and screen readers."""
    with ui.element(f"h{level}"):
        ui.label(text)


def facts(pairs: Sequence[tuple[str, str]]) -> None:
    """Names and values in two columns; empty values are left out."""
    with ui.element("dl").classes("ff-facts"):
        for name, value in pairs:
            if value:
                with ui.element("dt"):
                    ui.label(name)
                with ui.element("dd"):
                    ui.label(value)


def mono(text: str, hint: str = "") -> None:
    """Text to be compared letter by letter, such as a digest."""
    ui.label(text).classes("ff-mono").props["title"] = hint or text


def empty(title: str, advice: str, *commands: str) -> None:
    """What stands where nothing is yet: why, and exactly what to do."""
    with ui.element("div").classes("ff-empty"):
        heading(title, 2)
        ui.label(advice)
        for command in commands:
            with ui.element("code").classes("ff-command"):
                ui.label(command)


def no_entry(why: str) -> None:
    """What stands on a page that is not for everybody."""
    ui.label(why).classes("ff-trouble").props("role=alert")


@contextmanager
def table(columns: Sequence[str]) -> Iterator[None]:
    """A plain table for few rows; draw each with `row`."""
    with ui.element("div").classes("ff-table-scroll"), ui.element("table").classes("ff-table"):
        with ui.element("thead"), ui.element("tr"):
            for column in columns:
                with ui.element("th").props("scope=col"):
                    ui.label(column)
        with ui.element("tbody"):
            yield


def row(*cells: Callable[[], object] | str) -> None:
    """One row: texts, or functions that draw a cell."""
    with ui.element("tr"):
        for cell in cells:
            with ui.element("td"):
                if isinstance(cell, str):
                    ui.label(cell)
                else:
                    cell()
