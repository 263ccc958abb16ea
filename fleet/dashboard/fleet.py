"""The page of the whole fleet: its numbers, and one row for each device."""

from __future__ import annotations

from nicegui import ui
from starlette.requests import Request

from fleet.dashboard.feed import MAX_DEVICES, Feed
from fleet.dashboard.grid import LiveGrid, Row, column
from fleet.dashboard.parts import Live, empty, heading
from fleet.dashboard.session import read_login
from fleet.dashboard.theme import FIRST_ANSWER_S, Frame
from fleet.dashboard.tiles import Tiles
from fleet.dashboard.words import epoch_ms, phase_to_show, release_name
from fleet.views import DeviceSummary

COLUMNS = [
    column("status", "Status", "badge", width=124),
    column("id", "Device", "link", width=130, grow=2),
    column("hardware", "Hardware", width=116, from_width=720),
    column("runs", "Runs", width=120, grow=2, from_width=480),
    column("phase", "Update", "phase", width=172, from_width=860),
    column("cpu", "CPU", "meter", width=98, from_width=600),
    column("memory", "Memory", "meter", width=98, from_width=780),
    column("temperature", "Temperature", "celsius", width=112, from_width=940),
    column("seen", "Last seen", "ago", width=104),
]


def register(feed: Feed, frame: Frame) -> None:
    """Add the page."""

    @ui.page("/", response_timeout=FIRST_ANSWER_S)
    async def fleet_page(request: Request) -> None:
        with frame.page("Fleet", under="/", login=read_login(request.session)) as page:
            view = FleetView(feed)
            await page.keep_fresh(view.refresh)


class FleetView:
    """The page's content."""

    def __init__(self, feed: Feed) -> None:
        """Lay it out."""
        self._feed = feed
        with ui.element("div").classes("ff-title"):
            heading("Fleet", 1)
            ui.element("div").classes("ff-space")
            self._filter = ui.input(placeholder="Filter: status, name, release …", on_change=self._apply_filter)
            self._filter.props('outlined dense clearable debounce=150 aria-label="Filter devices"').classes("ff-filter")
        self._tiles = Tiles(self._toggle_filter)
        self._advice = Live(_draw_advice)
        with ui.element("div").classes("ff-panel ff-flush") as self._table:
            self._grid = LiveGrid(COLUMNS, label="Devices", open_under="/devices/")
        self._more = ui.label().classes("ff-muted")

    async def refresh(self) -> None:
        """Bring it up to date."""
        overview, devices = await self._feed.overview.get(), await self._feed.devices.get()
        self._tiles.show(overview)
        self._advice.show(overview.devices == 0)
        self._table.set_visibility(bool(devices))
        self._filter.set_visibility(bool(devices))
        self._grid.show([row_of(device) for device in devices])
        self._more.set_text(f"The first {MAX_DEVICES} of {overview.devices} devices." if overview.devices > len(devices) else "")

    def _apply_filter(self) -> None:
        self._grid.filter(self._filter.value or "")

    def _toggle_filter(self, status: str) -> None:
        self._filter.set_value("" if self._filter.value == status else status)


def _draw_advice(is_empty: bool) -> None:
    if is_empty:
        empty(
            "No devices yet",
            "Make a token on this machine, show it on the device, and start the agent there.",
            "fieldfare device token --hardware rpi5",
            "fieldfare agent enroll --server https://HOST:8481 --name my-device --token TOKEN",
            "fieldfare agent run --config fieldfare-device/agent.toml",
        )


def row_of(device: DeviceSummary) -> Row:
    """Return a device's row in the table."""
    health, report = device.health, phase_to_show(device.models)
    return {
        "id": device.id,
        "status": device.status,
        "reason": device.status_reason,
        "hardware": device.hardware,
        "runs": ", ".join(release_name(report.current) for report in device.models.values() if report.current) or None,
        "phase": report.phase.value if report else None,
        "progress": report.progress if report else None,
        "cpu": health.cpu_percent if health else None,
        "memory": 100 * health.memory_used_bytes / health.memory_total_bytes if health and health.memory_total_bytes else None,
        "temperature": health.temperature_c if health else None,
        "seen": epoch_ms(device.last_seen) if device.last_seen else None,
    }
