"""A rollout's devices: those that went wrong first, chosen by phase, one page at a time."""

from __future__ import annotations

from nicegui import ui

from contracts.lifecycle import FINAL, Phase
from fleet.core.rollout.model import LOST
from fleet.dashboard.grid import LiveGrid, Row, column
from fleet.dashboard.pager import Pager
from fleet.dashboard.parts import panel
from fleet.dashboard.words import words_of
from fleet.views import RolloutDeviceView, RolloutView

PER_PAGE = 20
EVERYBODY = ""
COLUMNS = [
    column("id", "Device", "link", width=130, grow=1),
    column("wave", "Wave", width=76, from_width=420),
    column("phase", "Phase", "badge", width=140),
    column("progress", "Progress", "progress", width=160, grow=1, from_width=520),
    column("reason", "Reason", width=160, grow=3, from_width=640),
]


class Members:
    """The table with its filter and its pages."""

    def __init__(self) -> None:
        """Take the place."""
        self._view: RolloutView | None = None
        with panel("Devices", "ff-flush") as bar:
            with bar:
                self._phase = ui.select({EVERYBODY: "every phase"}, value=EVERYBODY, on_change=self._choose)
                self._phase.props('outlined dense options-dense aria-label="Phase"').classes("ff-order")
                ui.element("div").classes("ff-space")
                self._pager = Pager(PER_PAGE, self._turn)
            self._grid = LiveGrid(COLUMNS, label="Devices of this rollout", open_under="/devices/")

    def show(self, view: RolloutView) -> None:
        """Bring it up to date."""
        self._view = view
        options = {EVERYBODY: "every phase"} | {phase.value: f"{words_of(phase.value)} ({count})" for phase, count in view.counts.items()}
        if options != self._phase.options:
            self._phase.set_options(options, value=self._phase.value if self._phase.value in options else EVERYBODY)
        self._draw()

    def _draw(self) -> None:
        if self._view is None:
            return
        members = chosen(self._view, str(self._phase.value or EVERYBODY))
        if self._pager.start >= len(members):
            self._pager.first()
        page = members[self._pager.start : self._pager.start + PER_PAGE]
        self._grid.show([_row(device) for device in page])
        self._pager.show(len(page), len(members))

    async def _choose(self) -> None:
        self._pager.first()
        self._draw()

    async def _turn(self) -> None:
        self._draw()


def chosen(view: RolloutView, phase: str) -> list[RolloutDeviceView]:
    """Return the devices in a phase, or all: those that went wrong first, then those on their way, then the rest."""
    return sorted((device for device in view.devices if phase in (EVERYBODY, device.phase.value)), key=_interest)


def _interest(device: RolloutDeviceView) -> int:
    if device.phase in LOST:
        return 0
    if device.phase not in FINAL:
        return 2 if device.phase is Phase.PLANNED else 1
    return 3


def _row(device: RolloutDeviceView) -> Row:
    return {
        "id": device.device,
        "wave": device.wave,
        "phase": device.phase.value,
        "progress": None if device.phase in FINAL or device.phase is Phase.PLANNED else device.progress,
        "reason": device.reason or None,
    }
