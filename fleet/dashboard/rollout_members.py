"""A rollout's devices: those that went wrong first, chosen by phase, one page at a time."""

from __future__ import annotations

from collections.abc import Mapping

from nicegui import ui

from contracts.lifecycle import FINAL, Phase
from fleet.dashboard.feed import Feed
from fleet.dashboard.grid import LiveGrid, Row, column
from fleet.dashboard.pager import Pager
from fleet.dashboard.parts import panel
from fleet.dashboard.words import words_of
from fleet.views.rollouts import RolloutDeviceView

PER_PAGE = 20
EVERYBODY = ""
# Of these there is no progress to tell: a shadow waits for the gate.
RESTING = FINAL | {Phase.PLANNED, Phase.SHADOW}
COLUMNS = [
    column("id", "Device", "link", width=130, grow=1),
    column("wave", "Wave", width=76, from_width=420),
    column("phase", "Phase", "badge", width=140),
    column("progress", "Progress", "progress", width=160, grow=1, from_width=520),
    column("reason", "Reason", width=160, grow=3, from_width=640),
]


class Members:
    """The table with its filter and its pages."""

    def __init__(self, feed: Feed, rollout: int) -> None:
        """Take the place."""
        self._feed = feed
        self._rollout = rollout
        self._counts: Mapping[Phase, int] = {}
        with panel("Devices", "ff-flush") as bar:
            with bar:
                self._phase = ui.select({EVERYBODY: "every phase"}, value=EVERYBODY, on_change=self._choose)
                self._phase.props('outlined dense options-dense aria-label="Phase"').classes("ff-order")
                ui.element("div").classes("ff-space")
                self._pager = Pager(PER_PAGE, self._draw)
            self._grid = LiveGrid(COLUMNS, label="Devices of this rollout", open_under="/devices/")

    async def show(self, counts: Mapping[Phase, int]) -> None:
        """Bring it up to date; so many devices are in each phase."""
        self._counts = counts
        options = {EVERYBODY: "every phase"} | {phase.value: f"{words_of(phase.value)} ({count})" for phase, count in counts.items()}
        if options != self._phase.options:
            self._phase.set_options(options, value=self._phase.value if self._phase.value in options else EVERYBODY)
        await self._draw()

    async def _draw(self) -> None:
        phase = Phase(self._phase.value) if self._phase.value else None
        total = sum(self._counts.values()) if phase is None else self._counts.get(phase, 0)
        if self._pager.start >= total:
            self._pager.first()
        page = await self._feed.rollout_devices(self._rollout, phase, self._pager.start, PER_PAGE)
        self._grid.show([_row(device) for device in page])
        self._pager.show(len(page), total)

    async def _choose(self) -> None:
        self._pager.first()
        await self._draw()


def _row(device: RolloutDeviceView) -> Row:
    return {
        "id": device.device,
        "wave": device.wave,
        "phase": device.phase.value,
        "progress": None if device.phase in RESTING else device.progress,
        "reason": device.reason or None,
    }
