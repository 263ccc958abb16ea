"""The fleet in numbers: a row of tiles whose texts change in place, so that nobody loses the one they are at."""

from __future__ import annotations

from urllib.parse import quote

from nicegui import ui

from fleet.dashboard.words import STATUSES, number, percent
from fleet.views.overview import Overview

ORDER = ("healthy", "updating", "degraded", "offline", "new")


class Tiles:
    """Devices, one tile for each status, requests and rollouts; each leads to the list behind its number."""

    def __init__(self) -> None:
        """Lay them out."""
        with ui.element("div").classes("ff-tiles"):
            self._devices = Tile("Devices", "/devices")
            self._statuses = {
                status: Tile(status.capitalize(), f"/devices?query={quote(f'status = {status}')}", status) for status in ORDER
            }
            self._requests = Tile("Requests")
            self._rollouts = Tile("Rollouts", "/rollouts")

    def show(self, overview: Overview) -> None:
        """Bring them up to date."""
        self._devices.show(str(overview.devices), f"{overview.online} online")
        for status, tile in self._statuses.items():
            count = overview.statuses.get(status, 0)
            tile.show(str(count), percent(count / max(1, overview.devices)))
        self._requests.show(number(overview.requests_per_s), "per second")
        self._rollouts.show(str(overview.rollouts_running), "under way")


class Tile:
    """A number with its name above and a note below; with an address, a link."""

    def __init__(self, name: str, address: str = "", status: str | None = None) -> None:
        """Take the place; the numbers follow."""
        place = ui.link(target=address) if address else ui.element("div")
        with place.classes("ff-tile"):
            with ui.element("div").classes("ff-tile-name"):
                if status:
                    place.props["title"] = STATUSES[status].meaning
                    ui.icon(STATUSES[status].icon).classes(f"ff-{STATUSES[status].tone}").props("aria-hidden=true")
                ui.label(name)
            self._value = ui.label().classes("ff-tile-value")
            self._note = ui.label().classes("ff-tile-note")

    def show(self, value: str, note: str) -> None:
        """Show a number; zero is pale."""
        self._value.set_text(value)
        self._value.classes(add="ff-none" if value == "0" else "", remove="" if value == "0" else "ff-none")
        self._note.set_text(note)
