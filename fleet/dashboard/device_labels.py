"""A device's labels and the groups it is in; operators change labels here."""

from __future__ import annotations

from datetime import datetime

from nicegui import ui

from fleet.core.labels import version_of
from fleet.core.roles import Caller
from fleet.dashboard.act_button import ActButton
from fleet.dashboard.bulk import LABELS, change_of, told
from fleet.dashboard.confirm import Ask, attempt, confirmed
from fleet.dashboard.feed import Feed
from fleet.dashboard.form import Form
from fleet.dashboard.orders import Order, Orders, may_give
from fleet.dashboard.parts import Live, facts, panel
from fleet.dashboard.theme import Page
from fleet.views.device_details import DeviceDetail


class LabelPanel:
    """The labels, the groups, and a button."""

    def __init__(self, feed: Feed, orders: Orders, page: Page, device: str) -> None:
        """Lay it out."""
        self._feed = feed
        self._orders = orders
        self._page = page
        self._device = device
        self._labels: dict[str, str] = {}
        with panel("Labels and groups") as bar:
            with bar:
                ui.element("div").classes("ff-space")
                self._button = ActButton("Change…", "sell", self._change) if may_give(page.caller, LABELS) else None
            self._shown = Live(_draw)

    def show(self, detail: DeviceDetail, groups: tuple[str, ...]) -> None:
        """Bring it up to date."""
        self._labels = dict(detail.labels)
        self._shown.show((self._labels, groups))
        if self._button:
            self._button.show("")

    async def _change(self) -> None:
        # What was seen: whoever changes them meanwhile is not written over.
        seen = version_of(self._labels)
        form = Form(f"Labels of {self._device}", "")
        form.text("put", "Set, such as site=lyon room=5")
        form.text("drop", "Remove, such as floor")
        if (said := await form.ask("Continue")) is not None:
            await attempt(lambda: self._ask_and_change(said, seen))

    async def _ask_and_change(self, said: dict[str, str], seen: str) -> str:
        visitor = self._page.visitor
        change = await self._orders.weigh(visitor, Order(LABELS), lambda *_: change_of((self._device,), said["put"], said["drop"]))
        change = change.model_copy(update={"devices": {self._device: seen}})
        if not await confirmed(Ask("Change labels?", (f"On 1 device, {self._device}:", *told(change)), "Change labels")):
            return ""
        groups = self._orders.services.groups

        def act(_caller: Caller, _now: datetime) -> int:
            return len(groups.relabel(change).changed)

        changed = await self._orders.give(visitor, Order(LABELS, asked=change), act)
        self._feed.changed(device=self._device)
        return "Labels changed." if changed else "The labels were so already."


def _draw(shown: tuple[dict[str, str], tuple[str, ...]]) -> None:
    labels, groups = shown
    if not labels and not groups:
        ui.label("None yet.").classes("ff-muted")
        return
    facts([*((key, value) for key, value in sorted(labels.items())), ("Groups", ", ".join(groups))])
