"""The page that a day begins with: the fleet in numbers, who needs somebody and why, and what is on its way."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from urllib.parse import quote

from nicegui import ui
from starlette.requests import Request

from fleet.dashboard.feed import ATTENTION, DevicePage, Feed
from fleet.dashboard.parts import Live, ago, badge, empty, heading, panel, row, table
from fleet.dashboard.phases import draw_split, finished
from fleet.dashboard.theme import FIRST_ANSWER_S, Frame
from fleet.dashboard.tiles import Tiles
from fleet.dashboard.words import devices, percent
from fleet.views.devices import DeviceSummary
from fleet.views.rollouts import RolloutView

MAX_SHARES = 8


def register(feed: Feed, frame: Frame) -> None:
    """Add the page."""

    @ui.page("/", response_timeout=FIRST_ANSWER_S)
    async def overview_page(request: Request) -> None:
        async with frame.page(request, "Overview", under="/") as page:
            view = OverviewPage(feed)
            await page.keep_fresh(view.refresh)


class OverviewPage:
    """The page's content."""

    def __init__(self, feed: Feed) -> None:
        """Lay it out."""
        self._feed = feed
        heading("Overview", 1)
        self._tiles = Tiles()
        self._advice = Live(_draw_advice)
        with ui.element("div").classes("ff-stack") as self._fleet:
            with panel("Needs attention"):
                self._attention = Live(_draw_attention)
            with ui.element("div").classes("ff-columns"):
                with panel("Rollouts under way"):
                    self._rollouts = Live(_draw_rollouts, "ff-stack")
                with panel("Hardware"):
                    self._hardware = Live(_draw_hardware)
                with panel("Releases running"):
                    self._releases = Live(_draw_releases)

    async def refresh(self) -> None:
        """Bring it up to date."""
        overview = await self._feed.overview.get()
        self._tiles.show(overview)
        self._advice.show(overview.devices == 0)
        self._fleet.set_visibility(overview.devices > 0)
        self._hardware.show(overview.hardware)
        self._releases.show(overview.releases)
        newest, _ = await self._feed.rollouts()
        self._rollouts.show(tuple(view for view in newest if view.ended_at is None))
        self._attention.show(await self._feed.attention())


def _draw_advice(is_empty: bool) -> None:
    if is_empty:
        empty(
            "No devices yet",
            "Make a token on this machine, show it on the device, and start the agent there.",
            "fieldfare device token --hardware rpi5",
            "fieldfare agent enroll --server https://HOST:8481 --name my-device --token TOKEN",
            "fieldfare agent run --config fieldfare-device/agent.toml",
        )


def _draw_attention(page: DevicePage) -> None:
    if not page.total:
        ui.label("Nobody: every device that was heard of is well.").classes("ff-muted")
        return
    with table(["State", "Device", "Why", "Last seen"]):
        for device in page.devices:
            row(
                partial(badge, device.status),
                partial(_draw_link, device),
                device.status_reason or "–",
                partial(ago, device.last_seen),
            )
    if page.total > len(page.devices):
        ui.link(f"All {page.total} that need attention", f"/devices?query={quote(ATTENTION)}&order=status")


def _draw_link(device: DeviceSummary) -> None:
    ui.link(device.id, f"/devices/{device.id}").classes("ff-strong")


def _draw_rollouts(views: tuple[RolloutView, ...]) -> None:
    if not views:
        ui.label("None.").classes("ff-muted")
    for view in views:
        with ui.element("div"):
            with ui.element("div").classes("ff-inline"):
                ui.link(f"Rollout {view.id}", f"/rollouts/{view.id}").classes("ff-strong")
                ui.label(view.what)
                badge(view.state)
                ui.label(f"{finished(view)} of {devices(sum(view.counts.values()))} finished").classes("ff-muted")
            draw_split(view, "ff-split ff-split-thin")
    ui.link("All rollouts", "/rollouts")


def _draw_hardware(counts: dict[str, int]) -> None:
    _draw_shares(counts, lambda name: f"/devices?query={quote(f'hw = {name}')}")


def _draw_releases(counts: dict[str, int]) -> None:
    if not counts:
        ui.label("None yet.").classes("ff-muted")
        return
    _draw_shares(counts, lambda _name: "/releases")


def _draw_shares(counts: dict[str, int], address: Callable[[str], str]) -> None:
    """Names with their counts, commonest first, each with a bar of its share."""
    whole = max(1, sum(counts.values()))
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    with ui.element("ul").classes("ff-shares"):
        for name, count in ordered[:MAX_SHARES]:
            with ui.element("li").style(f"--share: {100 * count / whole:.1f}%"):
                ui.link(name, address(name))
                ui.label(f"{count} · {percent(count / whole)}")
    if len(ordered) > MAX_SHARES:
        ui.label(f"and {len(ordered) - MAX_SHARES} more").classes("ff-muted")
