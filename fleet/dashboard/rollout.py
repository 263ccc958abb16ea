"""The page of one rollout: where it stands and why, its waves, what the gate sees, its devices, its history, and the orders."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from nicegui import context, ui
from starlette.requests import Request

from fleet.core.roles import Caller
from fleet.dashboard.act_button import ActButton
from fleet.dashboard.confirm import attempt, confirmed
from fleet.dashboard.feed import Feed
from fleet.dashboard.orders import Order, Orders, may_give
from fleet.dashboard.parts import Live, badge, empty, facts, heading, mono, panel
from fleet.dashboard.phases import draw_legend, draw_split, finished
from fleet.dashboard.rollout_acts import ACTS, Act
from fleet.dashboard.rollout_gate import draw_gate, draw_halves
from fleet.dashboard.rollout_history import draw_blame, draw_history
from fleet.dashboard.rollout_members import Members
from fleet.dashboard.rollout_shadow import draw_shadow
from fleet.dashboard.rollouts import draw_times
from fleet.dashboard.theme import FIRST_ANSWER_S, Frame, Page
from fleet.dashboard.wave_words import bar_of, facts_of, reason, strategy
from fleet.dashboard.words import percent, short_digest
from fleet.errors.rollouts import UnknownRolloutError
from fleet.views.rollouts import PlanView, RolloutView


def register(feed: Feed, frame: Frame, orders: Orders) -> None:
    """Add the page."""

    @ui.page("/rollouts/{rollout}", response_timeout=FIRST_ANSWER_S)
    async def rollout_page(request: Request, rollout: int) -> None:
        async with frame.page(request, f"Rollout {rollout}", under="/rollouts") as page:
            try:
                await feed.rollout(rollout)
            except UnknownRolloutError:
                context.client.status_code = 404
                empty(f"There is no rollout {rollout}", "This lists those of the fleet:", "fieldfare rollout list")
                return
            view = RolloutPage(feed, orders, page, rollout)
            await page.keep_fresh(view.refresh)


class RolloutPage:
    """The page's content."""

    def __init__(self, feed: Feed, orders: Orders, page: Page, rollout: int) -> None:
        """Lay it out."""
        self._feed = feed
        self._orders = orders
        self._page = page
        self._rollout = rollout
        self._title = Live(_draw_title)
        with ui.element("div").classes("ff-toolbar").props('role=group aria-label="Orders"') as bar:
            self._buttons = {name: self._add_button(act) for name, act in ACTS.items() if may_give(page.caller, act.route)}
        bar.set_visibility(bool(self._buttons))
        self._progress = Live(_draw_progress)
        self._blame = Live(draw_blame)
        self._gate = Live(draw_gate)
        self._shadow = Live(draw_shadow)
        self._halves = Live(draw_halves)
        self._members = Members(feed, rollout)
        with ui.element("div").classes("ff-columns"):
            self._plan = Live(_draw_plan)
            with panel("History"):
                self._history = Live(draw_history)

    async def refresh(self) -> None:
        """Bring it up to date."""
        view = await self._feed.rollout(self._rollout)
        outline = view.model_copy(update={"history": ()})
        self._title.show(outline)
        self._progress.show(outline)
        self._blame.show(view.history)
        self._gate.show((view.gate, view.plan, view.strategy))
        self._shadow.show((view.shadow, len(view.waves)))
        self._halves.show(await self._split(outline) if view.strategy == "split" else None)
        await self._members.show(view.counts)
        self._plan.show(view.plan)
        self._history.show(view.history)
        for name, button in self._buttons.items():
            button.show(ACTS[name].obstacle(view, self._page.caller), is_there=_is_there(name, view))

    async def _split(self, outline: RolloutView) -> RolloutView:
        """Return the rollout with all of its devices, by which both halves are counted."""
        total = sum(outline.counts.values())
        return outline.model_copy(update={"devices": await self._feed.rollout_devices(self._rollout, None, 0, total)})

    def _add_button(self, act: Act) -> ActButton:
        async def press() -> None:
            view = await self._feed.rollout(self._rollout)
            if await confirmed(act.question(view)):
                await attempt(lambda: self._order(act))

        return ActButton(act.text, act.icon, press, is_grave=act.is_grave)

    async def _order(self, act: Act) -> str:
        desk, number = self._orders.services.rollouts, self._rollout
        follow: dict[str, Callable[[int, str, datetime], int]] = {"rollback": desk.rollback, "retry": desk.retry}

        def do(caller: Caller, now: datetime) -> int:
            if act.name in follow:
                return follow[act.name](number, caller.name, now)
            desk.act(number, act.name, caller.name, now)
            return number

        found = await self._orders.give(self._page.visitor, Order(act.route, str(number)), do)
        self._feed.changed(rollout=number)
        if found != number:
            ui.navigate.to(f"/rollouts/{found}")
            return f"Rollout {found} was started."
        await self.refresh()
        return f"{act.text}: done."


def _is_there(name: str, view: RolloutView) -> bool:
    """Leave out what makes no sense beside another: to pause what is paused, to approve what nobody has to."""
    if name == "resume":
        return view.state == "paused" and view.ended_at is None
    if name == "pause":
        return view.state != "paused" or view.ended_at is not None
    if name == "approve":
        return view.state == "waiting"
    return name != "promote" or len(view.waves) > 1 or view.shadow is not None


def _draw_title(view: RolloutView) -> None:
    with ui.element("div").classes("ff-title"):
        heading(f"Rollout {view.id}: {view.what}", 1)
        badge(view.state)
        ui.label(reason(view)).classes("ff-reason")
        with ui.element("span").classes("ff-inline ff-muted"):
            ui.label(f"{view.strategy}: {strategy(view.strategy)} · {view.whom} · digest")
            mono(short_digest(view.release.manifest_sha256), view.release.manifest_sha256)
            if view.started_by:
                ui.label(f"· by {view.started_by}")
            draw_times(view)
            if view.origin:
                ui.link(f"follows rollout {view.origin}", f"/rollouts/{view.origin}")


def _draw_progress(view: RolloutView) -> None:
    total = sum(view.counts.values())
    with panel("Progress") as bar:
        with bar, ui.element("div").classes("ff-inline ff-now"):
            ui.label(percent(finished(view) / max(1, total))).classes("ff-big")
            ui.label(f"{finished(view)} of {total} devices have an outcome").classes("ff-muted")
        draw_split(view, "ff-split")
        draw_legend(view)
        if len(view.waves) > 1:
            with ui.element("ol").classes("ff-waves").props('aria-label="Waves"'):
                for wave in view.waves:
                    _draw_wave(view, wave.wave - 1)


def _draw_wave(view: RolloutView, index: int) -> None:
    wave = bar_of(view.waves[index], view)
    with ui.element("li"):
        with ui.element("div").classes("ff-inline"):
            ui.label(wave.title).classes("ff-strong" if view.waves[index].is_open else "ff-muted")
            ui.label(wave.word).classes("ff-tag")
        with ui.element("div").classes("ff-split ff-split-thin").props(f'role=img aria-label="{wave.text}"'):
            for phase, count, word in wave.parts:
                ui.element("div").classes(f"ff-phase-{phase}").style(f"flex: {count} 1 0").props(f'title="{count} {word}"')
        ui.label(wave.text).classes("ff-tile-note")


def _draw_plan(plan: PlanView | None) -> None:
    if plan is None:
        return
    with panel("Plan"):
        facts(facts_of(plan))
