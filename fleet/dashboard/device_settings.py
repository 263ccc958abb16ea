"""The page that changes a device's settings: what is in force, a form, a preview of what would change, and what came of it."""

from __future__ import annotations

from datetime import datetime

from nicegui import context, ui
from starlette.requests import Request

from contracts.configuration import SETTABLE
from contracts.errors import FieldfareError
from contracts.settings import SettingValue
from fleet.core.roles import Caller
from fleet.dashboard.act_button import ActButton
from fleet.dashboard.confirm import Ask, attempt, confirmed
from fleet.dashboard.device_facts import draw_settings
from fleet.dashboard.feed import Feed
from fleet.dashboard.orders import Order, Orders, obstacle
from fleet.dashboard.parts import Live, empty, heading, no_entry, panel, row, table
from fleet.dashboard.setting_words import NAMES, TITLES, change_of, differences, written
from fleet.dashboard.theme import FIRST_ANSWER_S, Frame, Page
from fleet.errors.devices import UnknownDeviceError
from fleet.settings_desk import version_of
from fleet.views.settings import ConfiguredDevice

CONFIGURE = ("POST", "/configurations")
NOTHING = "Nothing would change."


def register(feed: Feed, frame: Frame, orders: Orders) -> None:
    """Add the page."""

    @ui.page("/devices/{device}/settings", response_timeout=FIRST_ANSWER_S)
    async def settings_page(request: Request, device: str) -> None:
        async with frame.page(request, f"Settings of {device}", under="/devices") as page:
            heading(f"Settings of {device}", 1)
            ui.link(f"Back to {device}", f"/devices/{device}")
            if found := obstacle(page.caller, CONFIGURE):
                no_entry(found)
                return
            try:
                await feed.device(device)
            except UnknownDeviceError:
                context.client.status_code = 404
                empty(f"There is no device {device}", "This lists those of the fleet:", "fieldfare devices")
                return
            view = SettingsPage(feed, orders, page, device)
            await view.begin()
            await page.keep_fresh(view.refresh)


class SettingsPage:
    """The page's content."""

    def __init__(self, feed: Feed, orders: Orders, page: Page, device: str) -> None:
        """Lay it out."""
        self._feed, self._orders, self._page, self._device = feed, orders, page, device
        self._before: dict[str, SettingValue] = {}
        self._fields: dict[str, ui.input] = {}
        with panel("Now"):
            self._settings = Live(draw_settings)
        ui.label("An empty field leaves a setting to the device's own agent.toml, which the fleet does not see.").classes("ff-muted")
        with ui.element("div").classes("ff-stack ff-form"):
            for section, keys in SETTABLE.items():
                with panel(TITLES[section]), ui.element("div").classes("ff-fields"):
                    for key in keys:
                        self._add_field(f"{section}.{key}")
        self._problem = ui.label().classes("ff-trouble").props("role=alert")
        self._problem.set_visibility(False)
        with panel("Preview: nothing happens yet"):
            self._preview = Live(_draw_preview, "ff-stack")
        with ui.element("div").classes("ff-toolbar"):
            self._set = ActButton("Change settings…", "tune", self._ask, is_main=True)

    async def begin(self) -> None:
        """Fill in what is in force."""
        order = Order(CONFIGURE)
        trial = await self._orders.look(self._page.visitor, order, lambda _caller, now: self._try({}, now))
        self._follow(trial.before)
        await self._look()

    async def refresh(self) -> None:
        """Bring what the device made of it up to date."""
        detail = await self._feed.device(self._device)
        self._settings.show((detail.configuration, detail.generation_desired, detail.generation_reported))

    def _add_field(self, path: str) -> None:
        name, example = NAMES[path]
        field = ui.input(name, placeholder=f"such as {example}", on_change=self._look)
        field.props(f'outlined dense stack-label debounce=400 autocomplete=off spellcheck=false title="{path}"').classes("ff-field")
        self._fields[path] = field

    def _follow(self, settings: dict[str, SettingValue]) -> None:
        self._before = dict(settings)
        for path, field in self._fields.items():
            field.set_value(written(settings.get(path)))

    async def _look(self) -> None:
        """Show what would change."""
        said = self._said()
        try:
            trial = await self._orders.look(self._page.visitor, Order(CONFIGURE), lambda _caller, now: self._try(said, now))
        except FieldfareError as error:
            self._problem.set_text(str(error))
            self._problem.set_visibility(True)
            self._set.show("What is asked for cannot be read.")
            return
        self._problem.set_visibility(False)
        changes = tuple(differences(trial))
        self._preview.show(changes)
        self._set.show("" if changes else NOTHING)

    async def _ask(self) -> None:
        await attempt(self._ask_and_change)

    async def _ask_and_change(self) -> str:
        said, visitor = self._said(), self._page.visitor
        trial = await self._orders.weigh(visitor, Order(CONFIGURE, self._device), lambda _caller, now: self._try(said, now))
        lines = [f"{path}: {old} → {new}" for path, old, new in differences(trial)]
        after = "The device tries it on probation, and goes back by itself if its link or its models suffer."
        if not await confirmed(Ask(f"Change settings of {self._device}?", (*lines, after), "Change settings")):
            return ""
        change = change_of(self._device, self._before, said, dry_run=False)
        desk, seen = self._orders.services.configurations, version_of((trial,))

        def act(caller: Caller, now: datetime) -> ConfiguredDevice:
            return desk.change(change, caller.name, now, seen)[0]

        done = await self._orders.give(visitor, Order(CONFIGURE, self._device, change), act)
        self._feed.changed(device=self._device)
        self._follow(done.after)
        await self.refresh()
        return f"Revision {done.revision} is on its way; what comes of it appears above."

    def _try(self, said: dict[str, str], now: datetime) -> ConfiguredDevice:
        change = change_of(self._device, self._before, said, dry_run=True)
        return self._orders.services.configurations.change(change, self._page.caller.name, now)[0]

    def _said(self) -> dict[str, str]:
        return {path: str(field.value or "") for path, field in self._fields.items()}


def _draw_preview(changes: tuple[tuple[str, str, str], ...]) -> None:
    if not changes:
        ui.label(NOTHING).classes("ff-muted")
        return
    with table(["Setting", "Now", "Then"]):
        for change in changes:
            row(*change)
