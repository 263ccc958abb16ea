"""The charts of a device's page: its health, and its inference, over a time that the reader chooses."""

from __future__ import annotations

from collections import Counter, defaultdict

from nicegui import ui

from contracts.messages import Health
from fleet.dashboard.charts import BarChart, LineChart, Point
from fleet.dashboard.feed import Feed
from fleet.dashboard.parts import heading, panel
from fleet.dashboard.words import number
from fleet.views.charts import HealthPoint, InferencePoint

RANGES = {15: "15 min", 60: "1 h", 360: "6 h", 1440: "24 h", 10_080: "7 d", 43_200: "30 d"}
DEFAULT_MINUTES = 60


class DeviceCharts:
    """Seven charts that share one range of time."""

    def __init__(self, feed: Feed, device: str) -> None:
        """Lay them out."""
        self._feed = feed
        self._device = device
        self._newest: Health | None = None
        with ui.element("div").classes("ff-title"):
            heading("Health and inference", 2)
            ui.element("div").classes("ff-space")
            self._minutes = ui.toggle(RANGES, value=DEFAULT_MINUTES, on_change=self._read_again)
            self._minutes.props('flat dense no-caps toggle-color=none aria-label="Time shown"').classes("ff-range")
        with ui.element("div").classes("ff-columns"):
            self._cpu, self._cpu_now = _line_panel("CPU", "%", top=100)
            self._memory, self._memory_now = _line_panel("Memory and disk used", "%", top=100)
            self._heat, self._heat_now = _line_panel("Temperature", "°C")
            self._rate, self._rate_now = _line_panel("Requests", "/s")
            self._latency, self._latency_now = _line_panel("Latency", "ms")
            with panel("Classes") as bar:
                with bar:
                    self._results_now = ui.label().classes("ff-now")
                self._classes = BarChart("results", label="How often each class came out on top")

    async def refresh(self, newest: Health | None) -> None:
        """Bring them up to date."""
        self._newest = newest
        await self._read_again()

    async def _read_again(self) -> None:
        minutes = int(self._minutes.value or DEFAULT_MINUTES)
        self._show_health(await self._feed.health(self._device, minutes))
        self._show_inference(await self._feed.inference(self._device, minutes))

    def _show_health(self, points: tuple[HealthPoint, ...]) -> None:
        self._cpu.show({"CPU": [(point.at, point.cpu_percent) for point in points]})
        memory: list[Point] = [(point.at, point.memory_percent) for point in points]
        self._memory.show({"memory": memory, "disk": [(point.at, point.disk_percent) for point in points]})
        self._heat.show({"temperature": [(point.at, point.temperature_c) for point in points]})
        newest = points[-1] if points else None
        self._cpu_now.set_text(f"{newest.cpu_percent:.0f} %" if newest else "no data")
        self._memory_now.set_text(f"{newest.memory_percent:.0f} %, {newest.disk_percent:.0f} %" if newest else "no data")
        self._heat_now.set_text(
            f"{newest.temperature_c:.0f} °C" if newest and newest.temperature_c is not None else "no sensor" if newest else "no data"
        )

    def _show_inference(self, points: tuple[InferencePoint, ...]) -> None:
        by_model: dict[str, list[InferencePoint]] = defaultdict(list)
        for point in points:
            by_model[point.model].append(point)
        self._rate.show({model: [(point.at, point.requests_per_s) for point in found] for model, found in by_model.items()})
        self._latency.show(_latencies(by_model))
        counts = sum((Counter(point.classes) for point in points), Counter[str]())
        self._classes.show(counts)
        self._results_now.set_text(f"{number(sum(counts.values()))} results" if counts else "no requests")
        rate = sum(found[-1].requests_per_s for found in by_model.values())
        self._rate_now.set_text(f"{number(rate)} /s" if points else "no requests")
        self._latency_now.set_text(f"p95 {number(points[-1].p95_ms)} ms" if points else "no requests")


def _latencies(by_model: dict[str, list[InferencePoint]]) -> dict[str, list[Point]]:
    lines: dict[str, list[Point]] = {}
    for model, points in by_model.items():
        prefix = f"{model} " if len(by_model) > 1 else ""
        lines[f"{prefix}p95"] = [(point.at, point.p95_ms) for point in points]
        lines[f"{prefix}p50"] = [(point.at, point.p50_ms) for point in points]
    return lines


def _line_panel(title: str, unit: str, *, top: float | None = None) -> tuple[LineChart, ui.label]:
    with panel(title) as bar:
        with bar:
            now = ui.label().classes("ff-now")
        return LineChart(unit, label=f"{title} over time, in {unit}", top=top), now
