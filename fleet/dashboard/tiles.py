"""The fleet in numbers: a row of tiles whose texts change in place, so that nobody loses the one they are at."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from nicegui import ui

from fleet.dashboard.parts import Live
from fleet.dashboard.words import STATUSES, number, percent
from fleet.views import Overview

ORDER = ("healthy", "updating", "degraded", "offline", "new")
MAX_RELEASES = 6


class Tiles:
    """Devices, one tile for each status, requests, rollouts and the releases that run."""

    def __init__(self, choose_status: Callable[[str], None]) -> None:
        """Lay them out; a click on a status calls `choose_status`."""
        with ui.element("div").classes("ff-tiles"):
            self._devices = Tile("Devices")
            self._statuses = {status: Tile(status.capitalize(), status, partial(choose_status, status)) for status in ORDER}
            self._requests = Tile("Requests")
            self._rollouts = Tile("Rollouts")
            with ui.element("div").classes("ff-tile ff-tile-wide"):
                ui.label("Releases running").classes("ff-tile-name")
                self._releases = Live(_draw_releases, "ff-running")

    def show(self, overview: Overview) -> None:
        """Bring them up to date."""
        self._devices.show(str(overview.devices), f"{overview.online} online")
        for status, tile in self._statuses.items():
            count = overview.statuses.get(status, 0)
            tile.show(str(count), percent(count / max(1, overview.devices)))
        self._requests.show(number(overview.requests_per_s), "per second")
        self._rollouts.show(str(overview.rollouts_running), "running")
        self._releases.show(overview.releases)


class Tile:
    """A number with its name above and a note below; with `on_click`, a button."""

    def __init__(self, name: str, status: str | None = None, on_click: Callable[[], None] | None = None) -> None:
        """Take the place; the numbers follow."""
        place = ui.element("button" if on_click else "div").classes("ff-tile")
        if on_click:
            place.props("type=button").on("click", on_click, [])
        with place:
            with ui.element("div").classes("ff-tile-name"):
                if status:
                    place.props["title"] = f"{STATUSES[status].meaning} Click to filter."
                    ui.icon(STATUSES[status].icon).classes(f"ff-{STATUSES[status].tone}").props("aria-hidden=true")
                ui.label(name)
            self._value = ui.label().classes("ff-tile-value")
            self._note = ui.label().classes("ff-tile-note")

    def show(self, value: str, note: str) -> None:
        """Show a number; zero is pale."""
        self._value.set_text(value)
        self._value.classes(add="ff-none" if value == "0" else "", remove="" if value == "0" else "ff-none")
        self._note.set_text(note)


def _draw_releases(running: dict[str, int]) -> None:
    commonest_first = sorted(running.items(), key=lambda item: (-item[1], item[0]))
    for release, count in commonest_first[:MAX_RELEASES]:
        with ui.element("span").classes("ff-inline"):
            ui.label(release)
            with ui.element("b"):
                ui.label(str(count))
    if len(commonest_first) > MAX_RELEASES:
        ui.label(f"and {len(commonest_first) - MAX_RELEASES} more").classes("ff-muted")
    if not running:
        ui.label("none yet").classes("ff-muted")
