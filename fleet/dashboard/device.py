"""The page of one device: how it is and why, what runs there, its charts, what it is, what it was told, and what happened."""

from __future__ import annotations

from nicegui import context, ui
from starlette.requests import Request

from fleet.dashboard.device_charts import DeviceCharts
from fleet.dashboard.device_commands import LIST, CommandPanel
from fleet.dashboard.device_facts import draw_inventory, draw_link, draw_refusals, draw_settings, draw_title
from fleet.dashboard.device_history import draw_timeline, timeline
from fleet.dashboard.device_labels import LabelPanel
from fleet.dashboard.device_settings import CONFIGURE
from fleet.dashboard.feed import Feed
from fleet.dashboard.model_panel import draw_models
from fleet.dashboard.orders import Orders, may_give
from fleet.dashboard.parts import Live, empty, panel
from fleet.dashboard.theme import FIRST_ANSWER_S, Frame, Page
from fleet.errors.devices import UnknownDeviceError


def register(feed: Feed, frame: Frame, orders: Orders) -> None:
    """Add the page."""

    @ui.page("/devices/{device}", response_timeout=FIRST_ANSWER_S)
    async def device_page(request: Request, device: str) -> None:
        async with frame.page(request, device, under="/devices") as page:
            try:
                await feed.device(device)
            except UnknownDeviceError:
                context.client.status_code = 404
                empty(f"There is no device {device}", "This lists those of the fleet:", "fieldfare devices")
                return
            view = DevicePage(feed, orders, page, device)
            await page.keep_fresh(view.refresh)


class DevicePage:
    """The page's content."""

    def __init__(self, feed: Feed, orders: Orders, page: Page, device: str) -> None:
        """Lay it out."""
        self._feed = feed
        self._device = device
        # Logs may name people and places: who may not ask may not look either.
        self._title = Live(draw_title)
        self._commands = CommandPanel(feed, orders, page, device) if may_give(page.caller, LIST) else None
        self._models = Live(draw_models, "ff-stack")
        self._charts = DeviceCharts(feed, device)
        with ui.element("div").classes("ff-columns"):
            with panel("Inventory"):
                self._inventory = Live(draw_inventory)
            with ui.element("div").classes("ff-stack"):
                self._labels = LabelPanel(feed, orders, page, device)
                with panel("Settings") as bar:
                    with bar:
                        ui.element("div").classes("ff-space")
                        if may_give(page.caller, CONFIGURE):
                            ui.link("Change…", f"/devices/{device}/settings").classes("ff-button ff-button-link")
                    self._settings = Live(draw_settings)
                with panel("Link"):
                    self._link = Live(draw_link)
                with panel("Refusals"):
                    self._refusals = Live(draw_refusals)
        with panel("History"):
            self._history = Live(draw_timeline)

    async def refresh(self) -> None:
        """Bring it up to date."""
        detail = await self._feed.device(self._device)
        commands = await self._feed.commands(self._device) if self._commands else ()
        self._title.show(detail)
        self._models.show(detail)
        self._inventory.show(detail)
        self._labels.show(detail, await self._feed.groups_of(self._device))
        self._settings.show((detail.configuration, detail.generation_desired, detail.generation_reported))
        self._link.show(detail)
        self._refusals.show((detail.newest_time, detail.refused))
        if self._commands:
            self._commands.show(detail, commands)
        self._history.show(timeline(detail.events, await self._feed.taken_part(self._device), commands))
        await self._charts.refresh(detail.health)
