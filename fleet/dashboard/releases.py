"""The page of releases: what was signed, what it lost per target, and how many devices run it."""

from __future__ import annotations

from functools import partial

from nicegui import ui
from starlette.requests import Request

from fleet.dashboard.feed import Feed
from fleet.dashboard.parts import Live, ago, badge, empty, heading, mono, row, table
from fleet.dashboard.theme import FIRST_ANSWER_S, Frame
from fleet.dashboard.words import release_name, short_digest, size
from fleet.views.releases import ReleaseView

MAX_RELEASES = 200
COLUMNS = ["Release", "Gate", "Drop in accuracy by target", "Size", "Runs on", "Added", "Digest"]


def register(feed: Feed, frame: Frame) -> None:
    """Add the page."""

    @ui.page("/releases", response_timeout=FIRST_ANSWER_S)
    async def releases_page(request: Request) -> None:
        async with frame.page(request, "Releases", under="/releases") as page:
            heading("Releases", 1)
            found = Live(_draw)

            async def refresh() -> None:
                found.show(await feed.releases.get())

            await page.keep_fresh(refresh)


def _draw(releases: tuple[ReleaseView, ...]) -> None:
    if not releases:
        empty(
            "No releases yet",
            "Compile a model, and sign the bundle that comes out.",
            "fieldfare compile model.onnx --help",
            "fieldfare release add BUNDLE",
        )
        return
    with ui.element("section").classes("ff-panel"), table(COLUMNS):
        for view in releases[:MAX_RELEASES]:
            _draw_row(view)
    if len(releases) > MAX_RELEASES:
        ui.label(f"The newest {MAX_RELEASES} of {len(releases)} releases.").classes("ff-muted")


def _draw_row(view: ReleaseView) -> None:
    digest = view.ref.manifest_sha256
    row(
        release_name(view.ref),
        partial(badge, view.verdict),
        partial(_draw_drops, view),
        size(view.bytes),
        f"{view.running_on} device{'' if view.running_on == 1 else 's'}",
        partial(ago, view.added_at),
        partial(mono, short_digest(digest), digest),
    )


def _draw_drops(view: ReleaseView) -> None:
    with ui.element("div").classes("ff-inline"):
        for target in view.targets:
            with ui.element("span").classes("ff-inline"):
                ui.label(target)
                drop = view.drops.get(target)
                with ui.element("b"):
                    ui.label("–" if drop is None else f"{drop * 100:.2f} pt")
