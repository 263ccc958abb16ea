"""What may be asked of a device beside its work: a button for each, a question before, and what the newest ones brought."""

from __future__ import annotations

import secrets
from datetime import datetime
from functools import partial

from nicegui import ui

from contracts.commands import ORDER, Kind, Logs, Picture
from fleet.core.commands import new_command
from fleet.core.roles import Caller, command_role
from fleet.dashboard.act_button import ActButton
from fleet.dashboard.command_words import ERRANDS, asked, rows_of
from fleet.dashboard.confirm import Ask, attempt, confirmed
from fleet.dashboard.feed import Feed
from fleet.dashboard.form import Form
from fleet.dashboard.orders import Order, Orders, may_give
from fleet.dashboard.parts import Live, ago, badge, facts, panel, row, table
from fleet.dashboard.theme import Page
from fleet.requests.commands import DEFAULT_COMMAND_LIFE_S, NewCommand
from fleet.views.commands import CommandSummary, CommandView
from fleet.views.device_details import DeviceDetail

GIVE = ("POST", "/devices/{device}/commands")
LIST = ("GET", "/devices/{device}/commands")
SEE = ("GET", "/devices/{device}/commands/{command}")
SHOWN = 5


class CommandPanel:
    """The buttons, and below them the newest commands."""

    def __init__(self, feed: Feed, orders: Orders, page: Page, device: str) -> None:
        """Lay it out."""
        self._feed = feed
        self._orders = orders
        self._page = page
        self._device = device
        self._models: tuple[str, ...] = ()
        with panel("Commands"):
            with ui.element("div").classes("ff-toolbar").props('role=group aria-label="Commands"'):
                kinds = [kind for kind in ERRANDS if may_give(page.caller, GIVE, command_role(kind))]
                self._buttons = {kind: self._add_button(kind) for kind in kinds}
            self._results = Live(self._draw)

    def show(self, detail: DeviceDetail, commands: tuple[CommandSummary, ...]) -> None:
        """Bring it up to date."""
        self._models = tuple(sorted(detail.models))
        for kind, button in self._buttons.items():
            nothing = "No model runs here." if ERRANDS[kind].is_of_a_model and not self._models else ""
            button.show(nothing)
        self._results.show(commands[:SHOWN])

    def _add_button(self, kind: Kind) -> ActButton:
        errand = ERRANDS[kind]

        async def press() -> None:
            model = await self._choose_model() if errand.is_of_a_model and len(self._models) > 1 else None
            if model == "":
                return
            lines = (
                *errand.lines,
                f"1 device is asked: {self._device}. Unheard within {DEFAULT_COMMAND_LIFE_S / 60:.0f} minutes, it expires.",
            )
            if await confirmed(Ask(f"{errand.text} on {self._device}?", lines, errand.text, errand.is_grave)):
                await attempt(lambda: self._give(kind, model))

        return ActButton(errand.text, errand.icon, press)

    async def _choose_model(self) -> str:
        form = Form("Which model?", "")
        form.choice("model", "Model", {model: model for model in self._models})
        said = await form.ask("Continue")
        return said["model"] if said else ""

    async def _give(self, kind: Kind, model: str | None) -> str:
        order = ORDER.validate_python({"kind": kind, **({"model": model} if model else {})})
        number, desk = secrets.token_hex(16), self._orders.services.commands

        def do(caller: Caller, now: datetime) -> None:
            desk.add(new_command(number, self._device, order, caller.name, now, DEFAULT_COMMAND_LIFE_S))

        asked = NewCommand(kind=kind, arguments={"model": model} if model else {})
        await self._orders.give(self._page.visitor, Order(GIVE, self._device, asked, command_role(kind)), do)
        self._feed.changed(device=self._device)
        return f"{ERRANDS[kind].text}: asked; the answer appears below."

    def _draw(self, commands: tuple[CommandSummary, ...]) -> None:
        if not commands:
            return
        with table(["When", "Who", "What", "State", "Result"]):
            for command in commands:
                row(
                    partial(ago, command.issued_at),
                    command.asker,
                    asked(command),
                    partial(_draw_state, command),
                    partial(self._draw_opener, command),
                )

    def _draw_opener(self, command: CommandSummary) -> None:
        if command.state == "ok" and may_give(self._page.caller, SEE, command_role(command.order.kind)):
            button = ui.button("Show", on_click=lambda: attempt(lambda: self._open(command)), color=None)
            button.props(f'flat dense no-caps aria-label="Show what {command.order.kind} brought"').classes("ff-button")

    async def _open(self, command: CommandSummary) -> str:
        desk = self._orders.services.commands
        order = Order(SEE, needed=command_role(command.order.kind))
        found = await self._orders.look(self._page.visitor, order, lambda _caller, now: desk.command(self._device, command.id, now))
        await _show(found)
        return ""


def _draw_state(command: CommandSummary) -> None:
    badge(command.state)
    if command.reason:
        ui.label(command.reason).classes("ff-tile-note")


async def _show(command: CommandView) -> None:
    """Show what a command brought, until it is closed."""
    title = f"{asked(command)} on {command.device}"
    with (
        ui.dialog() as dialog,
        ui.element("div").classes("ff-dialog ff-dialog-wide").props(f'role=dialog aria-modal=true aria-label="{title}"'),
    ):
        with ui.element("h2"):
            ui.label(title)
        match command.findings:
            case None:
                ui.label("It was done; there is nothing more to show." if command.state == "ok" else command.reason)
            case Logs(text=text):
                with ui.element("pre").classes("ff-log").props("tabindex=0"):
                    ui.label(text)
            case Picture(jpeg=jpeg, model=model):
                picture = ui.element("img").props(f'alt="What {model} sees"').classes("ff-picture")
                picture.props["src"] = f"data:image/jpeg;base64,{jpeg}"
            case other:
                facts(rows_of(other))
        with ui.element("div").classes("ff-dialog-bar"):
            ui.button("Close", on_click=dialog.close, color=None).props("flat no-caps autofocus").classes("ff-button")
    await dialog
    dialog.delete()
