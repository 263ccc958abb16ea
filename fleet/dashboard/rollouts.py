"""The pages of rollouts: all of them, and one with its devices by phase."""

from __future__ import annotations

from nicegui import context, ui
from starlette.requests import Request

from contracts.lifecycle import FINAL, Phase
from fleet.dashboard.feed import Feed
from fleet.dashboard.grid import LiveGrid, column
from fleet.dashboard.parts import Live, ago, badge, empty, heading, mono
from fleet.dashboard.session import read_login
from fleet.dashboard.theme import FIRST_ANSWER_S, Frame
from fleet.dashboard.words import LOOKS, PHASES, percent, release_name, short_digest, words_of
from fleet.errors import UnknownRolloutError
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
            found = Live(_draw_list, "ff-stack")

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
            with ui.element("div").classes("ff-panel ff-flush"):
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


def _draw_list(rollouts: tuple[RolloutView, ...]) -> None:
    if not rollouts:
        empty("No rollouts yet", "Bring a release to your devices:", "fieldfare rollout start MODEL --to all")
    for view in rollouts:
        with ui.element("section").classes("ff-panel"):
            with ui.element("div").classes("ff-panel-bar"):
                with ui.element("h2"):
                    ui.link(f"Rollout {view.id}", f"/rollouts/{view.id}")
                ui.label(f"{release_name(view.release)} to {view.query}")
                badge(view.state)
                with ui.element("span").classes("ff-inline ff-muted ff-now"):
                    ui.label(f"{_finished(view)} of {len(view.devices)} finished")
                    _draw_times(view)
            _draw_split(view, "ff-split ff-split-thin")


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
            ui.label(percent(_finished(view) / max(1, len(view.devices)))).classes("ff-big")
            ui.label(f"{_finished(view)} of {len(view.devices)} devices have an outcome").classes("ff-muted")
        _draw_split(view, "ff-split")
        _draw_legend(view)


def _draw_times(view: RolloutView) -> None:
    with ui.element("span").classes("ff-phrase"):
        ui.label("· started")
        ago(view.started_at)
    if view.ended_at:
        with ui.element("span").classes("ff-phrase"):
            ui.label("· ended")
            ago(view.ended_at)


def _draw_split(view: RolloutView, classes: str) -> None:
    """The devices by phase as one bar, in the order of the life cycle."""
    told = ", ".join(f"{count} {words_of(phase.value)}" for phase, count in _counts(view))
    with ui.element("div").classes(classes).props(f'role=img aria-label="Devices: {told}"'):
        for phase, count in _counts(view):
            part = ui.element("div").classes(f"ff-phase-{phase.value}").style(f"flex: {count} 1 0")
            part.props(f'title="{count} {words_of(phase.value)}"')


def _draw_legend(view: RolloutView) -> None:
    with ui.element("div").classes("ff-legend"):
        for phase, count in _counts(view):
            with ui.element("span").props(f'title="{LOOKS[phase.value].meaning}"'):
                ui.element("i").classes(f"ff-key ff-phase-{phase.value}")
                with ui.element("b"):
                    ui.label(str(count))
                ui.label(words_of(phase.value))


def _counts(view: RolloutView) -> list[tuple[Phase, int]]:
    order = [*(phase for phase in PHASES if phase in FINAL), *reversed([phase for phase in PHASES if phase not in FINAL])]
    return [(phase, view.counts[phase]) for phase in order if view.counts.get(phase)]


def _finished(view: RolloutView) -> int:
    return sum(count for phase, count in view.counts.items() if phase in FINAL)
