"""Labels and groups for many devices at once: for those that are ticked, or for all that a query means."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import ValidationError

from contracts.codec import invalid_document
from fleet.core.roles import Caller
from fleet.dashboard.act_button import ActButton
from fleet.dashboard.confirm import Ask, attempt, confirmed
from fleet.dashboard.feed import Feed
from fleet.dashboard.form import Form
from fleet.dashboard.orders import Order, Orders, may_give
from fleet.dashboard.theme import Page
from fleet.dashboard.words import devices
from fleet.errors.devices import TooManyDevicesError
from fleet.requests.targeting import LabelChange, NewGroup

LABELS = ("POST", "/device-labels")
GROUPS = ("PUT", "/groups/{group}")
# What one change of labels takes.
MAX_DEVICES = 5000
MAX_NAMED = 5
Chosen = Callable[[], Awaitable[tuple[str, tuple[str, ...]]]]


@dataclass(frozen=True)
class Whom:
    """Devices by id, and how they were chosen."""

    ids: tuple[str, ...]
    query: str
    is_ticked: bool

    @property
    def sentence(self) -> str:
        """Say who it is."""
        named = ", ".join(self.ids[:MAX_NAMED]) + (f" and {len(self.ids) - MAX_NAMED} more" if len(self.ids) > MAX_NAMED else "")
        how = "ticked" if self.is_ticked else f"meant by: {self.query}"
        return f"{devices(len(self.ids))} {how} ({named})"


class Bulk:
    """Two buttons above the list."""

    def __init__(self, feed: Feed, orders: Orders, page: Page, chosen: Chosen) -> None:
        """`chosen` tells the query as it stands, and the devices that are ticked."""
        self._feed = feed
        self._orders = orders
        self._page = page
        self._chosen = chosen
        ways = ((LABELS, "Label…", "sell", self._relabel), (GROUPS, "Group…", "folder_shared", self._save_group))
        self._buttons = [ActButton(text, icon, press) for route, text, icon, press in ways if may_give(page.caller, route)]

    def show(self, total: int) -> None:
        """Let them be used while there is anybody."""
        for button in self._buttons:
            button.show("" if total else "Nobody is meant.")

    async def _whom(self) -> Whom:
        query, ticked = await self._chosen()
        if ticked:
            return Whom(tuple(sorted(ticked)), query, is_ticked=True)
        targeting = self._orders.services.targeting
        ids = await self._orders.look(
            self._page.visitor, Order(LABELS), lambda _caller, now: targeting.page(query, "", MAX_DEVICES + 1, now)
        )
        if len(ids) > MAX_DEVICES:
            raise TooManyDevicesError(len(ids), MAX_DEVICES)
        return Whom(ids, query, is_ticked=False)

    async def _relabel(self) -> None:
        found: list[Whom] = []

        async def look() -> str:
            found.append(await self._whom())
            return ""

        if not await attempt(look):
            return
        form = Form("Label devices", f"For {found[0].sentence}.")
        form.text("put", "Set, such as site=lyon room=5")
        form.text("drop", "Remove, such as floor")
        if (said := await form.ask("Continue")) is None:
            return
        await attempt(lambda: self._ask_and_relabel(found[0], said))

    async def _ask_and_relabel(self, whom: Whom, said: dict[str, str]) -> str:
        visitor = self._page.visitor
        change = await self._orders.weigh(visitor, Order(LABELS), lambda *_: change_of(whom.ids, said["put"], said["drop"]))
        if not await confirmed(Ask("Change labels?", (f"On {whom.sentence}:", *told(change)), "Change labels")):
            return ""

        def act(_caller: Caller, _now: datetime) -> int:
            return len(self._orders.services.groups.relabel(change).changed)

        changed = await self._orders.give(visitor, Order(LABELS, asked=change), act)
        self._feed.changed()
        return f"Labels of {devices(changed)} changed."

    async def _save_group(self) -> None:
        found: list[Whom] = []

        async def look() -> str:
            found.append(await self._whom())
            return ""

        if not await attempt(look):
            return
        whom = found[0]
        form = Form("Group devices", f"Of {whom.sentence}.")
        form.text("name", "The group's name, such as night-shift")
        ways = {"add": f"Add these {len(whom.ids)} to the group's list", "list": f"Make the group a list of these {len(whom.ids)}"}
        if not whom.is_ticked:
            ways["query"] = "Make the group whoever this query means, whenever it is asked"
        form.choice("way", "How", ways)
        if (said := await form.ask("Continue")) is not None:
            await attempt(lambda: self._ask_and_save(whom, said["name"].strip(), said["way"]))

    async def _ask_and_save(self, whom: Whom, name: str, way: str) -> str:
        groups, visitor, order = self._orders.services.groups, self._page.visitor, Order(GROUPS, name)
        known = {group.name: group for group in await self._feed.groups.get()}
        before: tuple[str, ...] = ()
        seen = "none"
        if name in known:
            detail = await self._orders.look(visitor, order, lambda _caller, now: groups.whole(name, now))
            before, seen = detail.members, detail.version
        new = await self._orders.weigh(visitor, order, lambda *_: new_group(whom, before if way == "add" else (), way))
        after = f"whoever it means ({devices(len(whom.ids))} now)" if new.devices is None else devices(len(new.devices))
        line = f"Group {name} {'has ' + devices(len(before)) if name in known else 'is new'}; it will have {after}."
        if not await confirmed(Ask(f"Save group {name}?", (line, "Rollouts under way keep their lists."), "Save group")):
            return ""
        saved = await self._orders.give(visitor, replace(order, asked=new), lambda _caller, now: groups.save(name, new, seen, now))
        self._feed.changed()
        return f"Group {name} has {devices(saved.devices)}."


def change_of(ids: tuple[str, ...], put: str, drop: str) -> LabelChange:
    """Read what was typed; raise InvalidDocumentError."""
    pairs = [part.partition("=") for part in put.replace(",", " ").split()]
    body = {
        "devices": dict.fromkeys(ids),
        "put": {key: value for key, _, value in pairs},
        "drop": tuple(drop.replace(",", " ").split()),
    }
    try:
        return LabelChange.model_validate(body)
    except ValidationError as error:
        raise invalid_document("labels", error) from error


def told(change: LabelChange) -> tuple[str, ...]:
    """Say what a change of labels does."""
    set_ = ", ".join(f"{key} = {value}" for key, value in change.put.items())
    return tuple(filter(None, (f"set {set_}" if set_ else "", f"remove {', '.join(change.drop)}" if change.drop else "")))


def new_group(whom: Whom, before: tuple[str, ...], way: str) -> NewGroup:
    """Return the group that was asked for; raise InvalidDocumentError."""
    body = {"query": whom.query} if way == "query" else {"devices": tuple(sorted({*before, *whom.ids}))}
    try:
        return NewGroup.model_validate(body)
    except ValidationError as error:
        raise invalid_document("group", error) from error
