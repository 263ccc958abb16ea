"""The page that lists devices: found by the same queries as rollouts, one page at a time, and labelled together."""

from __future__ import annotations

from urllib.parse import quote

from nicegui import ui
from starlette.requests import Request

from contracts.errors import FieldfareError
from fleet.dashboard.bulk import LABELS, Bulk
from fleet.dashboard.device_rows import CHIPS, COLUMNS, ORDERS, both, row_of
from fleet.dashboard.feed import DEVICES_PER_PAGE, Feed
from fleet.dashboard.grid import LiveGrid
from fleet.dashboard.orders import Orders, may_give
from fleet.dashboard.pager import Pager
from fleet.dashboard.parts import Live, empty, heading
from fleet.dashboard.theme import FIRST_ANSWER_S, Frame, Page
from fleet.errors import FleetError

MAX_QUERY_CHARS = 1000


def register(feed: Feed, frame: Frame, orders: Orders) -> None:
    """Add the page."""

    @ui.page("/devices", response_timeout=FIRST_ANSWER_S)
    async def devices_page(request: Request, query: str = "", order: str = "id") -> None:
        async with frame.page(request, "Devices", under="/devices") as page:
            view = DevicesPage(feed, orders, page)
            view.ask(query[:MAX_QUERY_CHARS], order)
            await page.keep_fresh(view.refresh)


class DevicesPage:
    """The page's content."""

    def __init__(self, feed: Feed, orders: Orders, page: Page) -> None:
        """Lay it out."""
        self._feed = feed
        self._chip = ""
        heading("Devices", 1)
        with ui.element("form").classes("ff-search").props("role=search").on("submit.prevent", self._searched, []):
            self._query = ui.input(placeholder='hw = rpi5 and label.site = "lyon" and free_disk > 500MB')
            self._query.props('outlined dense clearable aria-label="Query" autocomplete=off spellcheck=false').classes("ff-query")
            self._query.on("clear", self._searched, [])
            ui.button("Search", color=None).props("flat no-caps type=submit").classes("ff-button ff-button-main")
            self._order = ui.select(ORDERS, value="id", on_change=self._searched)
            self._order.props('outlined dense options-dense aria-label="Order"').classes("ff-order")
        with ui.element("div").classes("ff-chips").props('role=group aria-label="Filters"'):
            self._chips = {query: self._add_chip(name, query) for name, query in CHIPS.items()}
        self._problem = ui.label().classes("ff-trouble").props("role=alert")
        self._problem.set_visibility(False)
        self._advice = Live(_draw_advice)
        with ui.element("div").classes("ff-toolbar") as self._bar:
            self._pager = Pager(DEVICES_PER_PAGE, self.refresh)
            ui.element("div").classes("ff-space")
            self._bulk = Bulk(feed, orders, page, self._chosen)
        with ui.element("div").classes("ff-panel ff-flush") as self._table:
            self._grid = LiveGrid(COLUMNS, label="Devices", open_under="/devices/", is_selectable=may_give(page.caller, LABELS))

    def ask(self, query: str, order: str) -> None:
        """Show what an address asks for; a query that is a filter's own lights that filter up instead."""
        if query in self._chips:
            self._chip = query
        else:
            self._query.set_value(query)
        self._order.set_value(order if order in ORDERS else "id")
        self._light_chips()

    async def refresh(self) -> None:
        """Bring it up to date."""
        try:
            page = await self._feed.devices(self._meant, str(self._order.value), self._pager.start)
        except FleetError as error:
            # What was typed is wrong, not the page.
            self._problem.set_text(str(error))
            self._problem.set_visibility(True)
            return
        self._problem.set_visibility(False)
        if page.total and not page.devices:
            self._pager.first()
            page = await self._feed.devices(self._meant, str(self._order.value), 0)
        self._advice.show((page.total == 0, self._meant))
        for part in (self._bar, self._table):
            part.set_visibility(page.total > 0)
        self._grid.show([row_of(device) for device in page.devices])
        self._pager.show(len(page.devices), page.total)
        self._bulk.show(page.total)

    @property
    def _meant(self) -> str:
        return both(self._chip, str(self._query.value or "").strip())

    async def _chosen(self) -> tuple[str, tuple[str, ...]]:
        """Return the query as it stands, and the devices whose boxes are ticked."""
        return self._meant, await self._grid.selected()

    async def _searched(self) -> None:
        self._pager.first()
        address = f"/devices?query={quote(str(self._query.value or '') or self._chip)}&order={quote(str(self._order.value))}"
        ui.navigate.history.replace(address)
        self._grid.deselect()
        await self._refreshed()

    async def _refreshed(self) -> None:
        try:
            await self.refresh()
        except FieldfareError as error:
            self._problem.set_text(str(error))
            self._problem.set_visibility(True)

    def _add_chip(self, name: str, query: str) -> ui.element:
        with ui.element("button").classes("ff-chip").props("type=button") as chip:
            ui.label(name)

        async def choose() -> None:
            self._chip = query
            self._light_chips()
            await self._searched()

        chip.on("click", choose, [])
        return chip

    def _light_chips(self) -> None:
        for query, chip in self._chips.items():
            chip.props["aria-pressed"] = "true" if query == self._chip else "false"
            chip.update()


def _draw_advice(said: tuple[bool, str]) -> None:
    is_empty, query = said
    if not is_empty:
        return
    if query == "all":
        empty("No devices yet", "Make a token on this machine, and show it on the device:", "fieldfare device token --hardware rpi5")
    else:
        empty("No device is meant", "Nobody matches this query now:", query)
