"""The page that starts a rollout: what, to whom and how, with a preview that follows what is typed, and a question at the end."""

from __future__ import annotations

from datetime import datetime

from nicegui import ui
from starlette.requests import Request

from contracts.errors import FieldfareError
from fleet.dashboard.act_button import ActButton
from fleet.dashboard.confirm import Ask, attempt, confirmed
from fleet.dashboard.feed import Feed
from fleet.dashboard.orders import Order, Orders, obstacle
from fleet.dashboard.parts import Live, empty, heading, no_entry, panel, row, table
from fleet.dashboard.rollout_request import (
    LIMIT_HINTS,
    METRICS,
    STRATEGIES,
    artifacts,
    examples,
    headline,
    is_asked,
    limit_field,
    obstacles,
    question,
    request_of,
)
from fleet.dashboard.theme import FIRST_ANSWER_S, Frame, Page
from fleet.dashboard.wave_words import strategy
from fleet.dashboard.words import release_name
from fleet.requests.rollouts import NewRollout
from fleet.views.releases import ReleaseView
from fleet.views.targeting import RolloutPreview

START = ("POST", "/rollouts")
PREVIEW = ("POST", "/rollouts/preview")
NONE = ""


def register(feed: Feed, frame: Frame, orders: Orders) -> None:
    """Add the page."""

    @ui.page("/rollouts/new", response_timeout=FIRST_ANSWER_S)
    async def rollout_form_page(request: Request, query: str = "all", release: str = "") -> None:
        async with frame.page(request, "Start a rollout", under="/rollouts") as page:
            heading("Start a rollout", 1)
            if found := obstacle(page.caller, START):
                no_entry(found)
                return
            releases = await feed.releases.get()
            if not releases:
                empty("No releases yet", "Sign the bundle of a compiled model first:", "fieldfare release add BUNDLE")
                return
            form = RolloutForm(feed, orders, page, releases)
            form.begin(query, release)
            await form.look()


class RolloutForm:
    """The page's content."""

    def __init__(self, feed: Feed, orders: Orders, page: Page, releases: tuple[ReleaseView, ...]) -> None:
        """Lay it out."""
        self._feed = feed
        self._orders = orders
        self._page = page
        self._fields: dict[str, ui.input | ui.select | ui.checkbox] = {}
        names = {release_name(view.ref): f"{release_name(view.ref)} ({view.verdict}, {', '.join(view.targets)})" for view in releases}
        with ui.element("div").classes("ff-columns ff-form"):
            with panel("What, and to whom"):
                self._select("release", "Release", names)
                self._text("query", "Whom: all, or a query", 'hw = rpi5 and label.site = "lyon"')
                self._select("strategy", "Strategy", {name: f"{name}: {strategy(name)}" for name in STRATEGIES})
            with panel("How") as bar:
                with bar:
                    ui.label("Empty fields leave it to the strategy.").classes("ff-muted ff-now")
                self._details(names)
        self._problem = ui.label().classes("ff-trouble").props("role=alert")
        self._problem.set_visibility(False)
        with panel("Preview: nothing happens yet"):
            self._preview = Live(_draw_preview, "ff-stack")
        with ui.element("div").classes("ff-toolbar"):
            self._start = ActButton("Start…", "rocket_launch", self._ask, is_main=True)

    def begin(self, query: str, release: str) -> None:
        """Fill in what an address asks for."""
        wanted, releases = self._fields["query"], self._fields["release"]
        if isinstance(wanted, ui.input):
            wanted.set_value(query)
        if isinstance(releases, ui.select) and release in releases.options:
            releases.set_value(release)
        self._follow_strategy()

    async def look(self) -> None:
        """Show what it would do."""
        self._follow_strategy()
        try:
            said = self._said()
            _, preview = await self._orders.look(self._page.visitor, Order(PREVIEW), lambda _caller, now: self._read(said, now))
        except FieldfareError as error:
            self._problem.set_text(str(error))
            self._problem.set_visibility(True)
            self._start.show("What is asked for cannot be read.")
            return
        self._problem.set_visibility(False)
        self._preview.show(preview)
        self._start.show("" if preview.chosen else "No device would get it.")

    async def _ask(self) -> None:
        await attempt(self._ask_and_start)

    async def _ask_and_start(self) -> str:
        desk, visitor, said = self._orders.services.rollouts, self._page.visitor, self._said()
        new, preview = await self._orders.weigh(visitor, Order(START), lambda _caller, now: self._read(said, now))
        if not await confirmed(Ask(f"Start a rollout of {release_name(preview.release)}?", question(new, preview), "Start it")):
            return ""
        number = await self._orders.give(visitor, Order(START, asked=new), lambda caller, now: desk.start(new, caller.name, now))
        ui.navigate.to(f"/rollouts/{number}")
        return f"Rollout {number} was started."

    def _read(self, said: dict[str, str | bool], now: datetime) -> tuple[NewRollout, RolloutPreview]:
        new = request_of(said)
        return new, self._orders.services.preview.of(new, now)

    def _said(self) -> dict[str, str | bool]:
        return {name: field.value if isinstance(field, ui.checkbox) else str(field.value or "") for name, field in self._fields.items()}

    def _details(self, names: dict[str, str]) -> None:
        with ui.element("div").classes("ff-fields"):
            self._text("waves", "Waves: reached with each", "1%,10%,50%,100%")
            self._text("threshold", "May be lost", "5% or 3")
            self._text("share", "Share of inputs in shadow", "5%")
            self._text("min_inputs", "Inputs before a device counts", "200")
            self._text("max_cpu", "CPU in shadow, of one core", "0.5")
            self._text("max_temperature_c", "Pauses above, °C", "75")
            for metric in METRICS:
                self._text(limit_field(metric), f"Gate on {metric}", LIMIT_HINTS[metric])
            self._text("soak", "Watched after each wave", "15m")
            self._text("window", "Hours, by each device's clock", "22:00-06:00")
            self._text("zone", "Zone of devices without one", "UTC")
            self._text("rate", "Devices a minute, at most", "100")
            self._select("rival", "Other half gets", {NONE: "–", **names})
            self._text("hold", "Halves are compared for", "1d")
        with ui.element("div").classes("ff-inline"):
            self._tick("approval", "A second person approves")
            self._tick("newcomers", "Devices added meanwhile join")
            self._tick("take_back", "A stop takes it back")

    def _follow_strategy(self) -> None:
        """Show what the strategy asks for, and nothing else."""
        chosen = str(self._fields["strategy"].value)
        for name, field in self._fields.items():
            field.set_visibility(is_asked(name, chosen))

    def _text(self, name: str, label: str, hint: str) -> None:
        field = ui.input(label, placeholder=hint, on_change=self.look)
        self._fields[name] = field.props("outlined dense stack-label debounce=400 autocomplete=off spellcheck=false").classes("ff-field")

    def _select(self, name: str, label: str, options: dict[str, str]) -> None:
        field = ui.select(options, label=label, value=next(iter(options)), on_change=self.look)
        self._fields[name] = field.props("outlined dense options-dense stack-label").classes("ff-field")

    def _tick(self, name: str, label: str) -> None:
        self._fields[name] = ui.checkbox(label, on_change=self.look).props("dense")


def _draw_preview(preview: RolloutPreview) -> None:
    ui.label(headline(preview)).classes("ff-strong")
    with ui.element("div").classes("ff-columns"):
        if preview.chosen:
            with ui.element("div"), table(["Artifact", "Devices", "Largest download"]):
                for name, count, largest in artifacts(preview):
                    row(name, str(count), largest)
        if preview.excluded:
            with ui.element("div"), table(["Why not", "Devices", "Such as"]):
                for reason, count, names in obstacles(preview):
                    row(reason, str(count), names)
    if preview.chosen:
        ui.label(examples(preview)).classes("ff-tile-note")
