"""The page of one device: how it is and why, what runs there, its charts, and what happened."""

from __future__ import annotations

from functools import partial

from nicegui import context, ui
from starlette.requests import Request

from contracts.messages import Health
from fleet.core.refusals import trust_line
from fleet.dashboard.device_charts import DeviceCharts
from fleet.dashboard.feed import Feed
from fleet.dashboard.model_panel import draw_models
from fleet.dashboard.parts import Live, ago, badge, empty, facts, heading, panel, row, table
from fleet.dashboard.session import read_login
from fleet.dashboard.theme import FIRST_ANSWER_S, Frame
from fleet.dashboard.words import STATUSES, size
from fleet.errors.devices import UnknownDeviceError
from fleet.views import DeviceDetail, EventView


def register(feed: Feed, frame: Frame) -> None:
    """Add the page."""

    @ui.page("/devices/{device}", response_timeout=FIRST_ANSWER_S)
    async def device_page(request: Request, device: str) -> None:
        with frame.page(device, under="/", login=read_login(request.session)) as page:
            try:
                await feed.device(device)
            except UnknownDeviceError:
                context.client.status_code = 404
                empty(f"There is no device {device}", "This lists those of the fleet:", "fieldfare devices")
                return
            view = DeviceView(feed, device)
            await page.keep_fresh(view.refresh)


class DeviceView:
    """The page's content."""

    def __init__(self, feed: Feed, device: str) -> None:
        """Lay it out."""
        self._feed = feed
        self._device = device
        self._title = Live(_draw_title)
        self._models = Live(draw_models, "ff-stack")
        self._charts = DeviceCharts(feed, device)
        with ui.element("div").classes("ff-columns"):
            with panel("Inventory"):
                self._inventory = Live(_draw_inventory)
            with panel("Events"):
                self._events = Live(_draw_events)

    async def refresh(self) -> None:
        """Bring it up to date."""
        detail = await self._feed.device(self._device)
        self._title.show(detail)
        self._models.show(detail)
        self._inventory.show(detail)
        self._events.show(detail.events)
        await self._charts.refresh(detail.health)


def _draw_title(detail: DeviceDetail) -> None:
    with ui.element("div").classes("ff-title"):
        heading(detail.id, 1)
        badge(detail.status)
        with ui.element("span").classes("ff-phrase ff-muted"):
            ui.label(f"{detail.hardware} · last seen")
            ago(detail.last_seen)
    if detail.status_reason:
        look = STATUSES[detail.status]
        with ui.element("div").classes(f"ff-note ff-{look.tone}").style("margin-top: 10px"):
            ui.icon(look.icon).props("aria-hidden=true")
            ui.label(detail.status_reason)


def _draw_inventory(detail: DeviceDetail) -> None:
    birth, health = detail.birth, detail.health
    if birth is None:
        ui.label("Known as soon as the device was heard.").classes("ff-muted")
        return
    machine = birth.machine
    throttled = {None: "", True: "yes", False: "no"}[health.is_throttled if health else None]
    facts(
        [
            ("Hardware", birth.hardware),
            ("Targets", ", ".join(birth.targets)),
            ("Runtimes", ", ".join(f"{name} {version}" for name, version in birth.runtimes.items())),
            ("Processor", f"{machine.cpu_count} × {machine.architecture}"),
            ("Memory", size(machine.memory_bytes)),
            ("Disk", size(machine.disk_bytes) + (f", {size(health.disk_free_bytes)} free" if health else "")),
            ("Throttled", throttled),
            *(_power(health) if health else ()),
            ("System", machine.system),
            ("Python", machine.python),
            ("Agent", birth.agent_version),
            ("Labels", ", ".join(f"{key} = {value}" for key, value in detail.labels.items())),
            ("Wish", _generations(detail)),
            ("Trust", trust_line(detail.newest_time, detail.refused)),
        ]
    )


def _power(health: Health) -> list[tuple[str, str]]:
    """Return what a device with such sensors tells of its supply."""
    rails = ", ".join(f"{name} {watts:.1f} W" for name, watts in (health.rails_w or {}).items())
    whole = "" if health.power_w is None else f"{health.power_w:.1f} W"
    supply = {None: "", True: "under-voltage", False: "strong enough"}[health.is_undervolted]
    tpu = "" if health.edge_tpu_temperature_c is None else f"{health.edge_tpu_temperature_c:.0f} °C"
    said = (("Power", " of which ".join(filter(None, (whole, rails)))), ("Supply", supply), ("Edge TPU", tpu))
    return [(name, text) for name, text in said if text]


def _generations(detail: DeviceDetail) -> str:
    if detail.generation_desired == detail.generation_reported:
        return f"generation {detail.generation_desired}, seen by the device"
    return f"generation {detail.generation_desired}, of which the device has seen {detail.generation_reported}"


def _draw_events(events: tuple[EventView, ...]) -> None:
    if not events:
        ui.label("Nothing happened yet.").classes("ff-muted")
        return
    with table(["When", "Severity", "Event"]):
        for event in events:
            row(partial(ago, event.at), partial(badge, event.severity), partial(_draw_event, event))


def _draw_event(event: EventView) -> None:
    ui.label(event.text)
    notes = [event.kind, *([event.model] if event.model else []), *(f"{key} {value}" for key, value in event.facts.items())]
    ui.label(" · ".join(notes)).classes("ff-tile-note")
