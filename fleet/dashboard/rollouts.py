"""The pages of rollouts: all of them, and one with its devices by phase."""

from __future__ import annotations

from nicegui import context, ui
from starlette.requests import Request

from fleet.dashboard.feed import Feed
from fleet.dashboard.grid import LiveGrid, column
from fleet.dashboard.parts import Live, ago, badge, empty, heading, mono
from fleet.dashboard.phases import draw_legend, draw_split, finished
from fleet.dashboard.session import read_login
from fleet.dashboard.theme import FIRST_ANSWER_S, Frame
from fleet.dashboard.words import percent, release_name, short_digest
from fleet.errors.rollouts import UnknownRolloutError
from fleet.views import RolloutView

COLUMNS = [
    column("id", "Device", "link", width=130, grow=1),
    column("phase", "Phase", "badge", width=140),
    column("progress", "Progress", "progress", width=160, grow=1, from_width=520),
    column("reason", "Reason", width=160, grow=3, from_width=640),
]


def register(feed: Feed, frame: Frame) -> None:
    """Add the pages."""

    @ui.page("/rollouts", response_timeout=FIRST_ANSWER_S)
    async def rollouts_page(request: Request) -> None:
        with frame.page("Rollouts", under="/rollouts", login=read_login(request.session)) as page:
            heading("Rollouts", 1)
            found = RolloutList()

            async def refresh() -> None:
                found.show(await feed.rollouts.get())

            await page.keep_fresh(refresh)

    @ui.page("/rollouts/{rollout}", response_timeout=FIRST_ANSWER_S)
    async def rollout_page(request: Request, rollout: int) -> None:
        with frame.page(f"Rollout {rollout}", under="/rollouts", login=read_login(request.session)) as page:
            try:
                await feed.rollout(rollout)
            except UnknownRolloutError:
                context.client.status_code = 404
                empty(f"There is no rollout {rollout}", "This lists those of the fleet:", "fieldfare rollout list")
                return
            summary = Live(_draw_rollout, "ff-stack")
            with ui.element("div").classes("ff-panel ff-flush").style("--ff-above: 330px"):
                grid = LiveGrid(COLUMNS, label="Devices of this rollout", open_under="/devices/")

            async def refresh() -> None:
                view = await feed.rollout(rollout)
                summary.show(view)
                grid.show(
                    [
                        {"id": device.device, "phase": device.phase.value, "progress": device.progress, "reason": device.reason or None}
                        for device in view.devices
                    ]
                )

            await page.keep_fresh(refresh)


class RolloutList:
    """One card for each rollout, newest first; a card stays where it is while its numbers change."""

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


def _draw_advice(is_empty: bool) -> None:
    if is_empty:
        empty("No rollouts yet", "Bring a release to your devices:", "fieldfare rollout start MODEL --to all")


def _draw_card(view: RolloutView) -> None:
    with ui.element("div").classes("ff-panel-bar"):
        ui.label(f"{release_name(view.release)} to {view.query}")
        badge(view.state)
        with ui.element("span").classes("ff-inline ff-muted ff-now"):
            ui.label(f"{finished(view)} of {sum(view.counts.values())} finished")
            _draw_times(view)
    draw_split(view, "ff-split ff-split-thin")


def _draw_rollout(view: RolloutView) -> None:
    with ui.element("div").classes("ff-title"):
        heading(f"Rollout {view.id}: {release_name(view.release)}", 1)
        badge(view.state)
        if view.state_reason:
            ui.label(view.state_reason)
        with ui.element("span").classes("ff-inline ff-muted"):
            ui.label(f"to {view.query} · digest")
            mono(short_digest(view.release.manifest_sha256), view.release.manifest_sha256)
            _draw_times(view)
    with ui.element("section").classes("ff-panel").props('aria-label="Progress"'):
        with ui.element("div").classes("ff-inline").style("margin-bottom: 8px"):
            ui.label(percent(finished(view) / max(1, len(view.devices)))).classes("ff-big")
            ui.label(f"{finished(view)} of {len(view.devices)} devices have an outcome").classes("ff-muted")
        draw_split(view, "ff-split")
        draw_legend(view)
        if len(view.waves) > 1:
            _draw_waves(view)
        if view.gate:
            ui.label(f"Gate: {view.gate.decision}. {view.gate.reason}").classes("ff-muted")


def _draw_waves(view: RolloutView) -> None:
    """One line for each wave, those to come in quiet letters."""
    for wave in view.waves:
        done = f"{wave.settled} of {wave.devices} devices have an outcome" if wave.is_open else f"{wave.devices} devices, not open yet"
        ui.label(f"Wave {wave.wave}, up to {wave.size}: {done}").classes("" if wave.is_open else "ff-muted")


def _draw_times(view: RolloutView) -> None:
    with ui.element("span").classes("ff-phrase"):
        ui.label("· started")
        ago(view.started_at)
    if view.ended_at:
        with ui.element("span").classes("ff-phrase"):
            ui.label("· ended")
            ago(view.ended_at)
