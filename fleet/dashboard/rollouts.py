"""The page that lists rollouts: one card for each, newest first."""

from __future__ import annotations

from nicegui import ui
from starlette.requests import Request

from fleet.dashboard.feed import Feed
from fleet.dashboard.orders import may_give
from fleet.dashboard.parts import Live, ago, badge, empty, heading
from fleet.dashboard.phases import draw_split, finished
from fleet.dashboard.rollout_form import START
from fleet.dashboard.theme import FIRST_ANSWER_S, Frame
from fleet.dashboard.wave_words import strategy
from fleet.views.rollouts import RolloutView


def register(feed: Feed, frame: Frame) -> None:
    """Add the page."""

    @ui.page("/rollouts", response_timeout=FIRST_ANSWER_S)
    async def rollouts_page(request: Request, before: int | None = None) -> None:
        async with frame.page(request, "Rollouts", under="/rollouts") as page:
            with ui.element("div").classes("ff-title"):
                heading("Rollouts", 1)
                ui.element("div").classes("ff-space")
                if may_give(page.caller, START):
                    ui.link("Start a rollout", "/rollouts/new").classes("ff-button ff-button-main ff-button-link")
            if before is not None:
                ui.link("Newest rollouts", "/rollouts")
            found = RolloutList()
            earlier: Live[int | None] = Live(_draw_earlier)

            async def refresh() -> None:
                rollouts, has_more = await feed.rollouts(before)
                found.show(rollouts)
                earlier.show(rollouts[-1].id if has_more else None)

            await page.keep_fresh(refresh)


class RolloutList:
    """A card stays where it is while its numbers change."""

    def __init__(self) -> None:
        """Take the place."""
        self._advice = Live(_draw_advice)
        self._place = ui.element("div").classes("ff-stack")
        self._cards: dict[int, Live[RolloutView]] = {}

    def show(self, rollouts: tuple[RolloutView, ...]) -> None:
        """Bring the list up to date."""
        self._advice.show(not rollouts)
        for view in reversed(rollouts):
            if view.id not in self._cards:
                self._cards[view.id] = self._add_card(view)
            self._cards[view.id].show(view)

    def _add_card(self, view: RolloutView) -> Live[RolloutView]:
        with self._place, ui.element("section").classes("ff-panel ff-card") as card:
            with ui.element("h2"):
                ui.link(f"Rollout {view.id}", f"/rollouts/{view.id}")
            content = Live(_draw_card, "ff-card-content")
        card.move(target_index=0)
        return content


def _draw_earlier(last: int | None) -> None:
    if last is not None:
        ui.link("Earlier rollouts", f"/rollouts?before={last}")


def _draw_advice(is_empty: bool) -> None:
    if is_empty:
        empty("No rollouts yet", "Start one here, or on the command line:", "fieldfare rollout start MODEL --to all")


def _draw_card(view: RolloutView) -> None:
    with ui.element("div").classes("ff-panel-bar"):
        ui.label(f"{view.what} {view.whom}")
        badge(view.state)
        with ui.element("span").classes("ff-inline ff-muted ff-now"):
            ui.label(f"{finished(view)} of {sum(view.counts.values())} finished")
            draw_times(view)
    draw_split(view, "ff-split ff-split-thin")
    with ui.element("div").classes("ff-card-note ff-muted"):
        ui.label(" · ".join(filter(None, (strategy(view.strategy), view.started_by and f"by {view.started_by}", view.state_reason))))


def draw_times(view: RolloutView) -> None:
    """Since when, and until when."""
    with ui.element("span").classes("ff-phrase"):
        ui.label("· started")
        ago(view.started_at)
    if view.ended_at:
        with ui.element("span").classes("ff-phrase"):
            ui.label("· ended")
            ago(view.ended_at)
