"""Decides how series are drawn: ECharts options, in colours that follow the page's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from statistics import median
from typing import Any

from nicegui import ui

from fleet.dashboard.words import epoch_ms

# Style sheet variables: the SVG renderer passes them on, so that a change of theme needs no redraw.
INK, LINE, CARD = "var(--ff-ink-2)", "var(--ff-line)", "var(--ff-card)"
SERIES = ("var(--ff-series-1)", "var(--ff-series-2)", "var(--ff-series-3)", "var(--ff-series-4)")
MAX_BARS = 8
# A line is broken where this many usual intervals passed without a word.
GAP_INTERVALS = 5

# By the finest unit that tells a label from its neighbours.
MOMENTS = {"second": "{HH}:{mm}:{ss}", "minute": "{HH}:{mm}", "hour": "{HH}:{mm}", "day": "{d} {MMM}", "month": "{MMM}", "year": "{yyyy}"}
Point = tuple[datetime, float | None]
Data = list[list[float | None]]


class LineChart:
    """Values over time; one line for each name, and a gap where the device was silent."""

    def __init__(self, unit: str, *, label: str, top: float | None = None) -> None:
        """`unit` stands at every number; `top` fixes the end of the axis."""
        self._lines: dict[str, Data] = {}
        self._chart = ui.echart(_line_options(unit, top), renderer="svg").classes("ff-chart ff-chart-empty")
        self._chart.props(f'role=img aria-label="{label}"')

    def show(self, lines: Mapping[str, Sequence[Point]]) -> None:
        """Draw `lines`, unless they are what is there."""
        found = {name: with_gaps(points) for name, points in lines.items()}
        if found == self._lines:
            return
        self._lines = found
        _collapse(self._chart, is_empty=not any(found.values()))
        self._chart.options["series"] = [_line(name, index, data) for index, (name, data) in enumerate(found.items())]
        self._chart.options["legend"]["show"] = len(found) > 1
        self._chart.update()


class BarChart:
    """Counts by name, largest first."""

    def __init__(self, unit: str, *, label: str) -> None:
        """`unit` says what is counted."""
        self._counts: dict[str, int] = {}
        self._chart = ui.echart(_bar_options(unit), renderer="svg").classes("ff-chart ff-chart-empty")
        self._chart.props(f'role=img aria-label="{label}"')

    def show(self, counts: Mapping[str, int]) -> None:
        """Draw the largest counts."""
        found = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MAX_BARS])
        if found == self._counts:
            return
        self._counts = found
        _collapse(self._chart, is_empty=not found)
        self._chart.options["yAxis"]["data"] = list(found)
        self._chart.options["series"][0]["data"] = list(found.values())
        self._chart.update()


def _collapse(chart: ui.echart, *, is_empty: bool) -> None:
    """Give a chart without values no room; it keeps its width, which it is drawn by."""
    chart.classes(add="ff-chart-empty" if is_empty else "", remove="" if is_empty else "ff-chart-empty")


def with_gaps(points: Sequence[Point]) -> Data:
    """Return points as browsers want them, with an empty one in every silence."""
    stamps = [epoch_ms(at) for at, _ in points]
    steps = [later - earlier for earlier, later in pairwise(stamps)]
    longest = GAP_INTERVALS * median(steps) if steps else 0
    data: Data = []
    for index, (_, value) in enumerate(points):
        if index and steps[index - 1] > longest:
            data.append([stamps[index - 1] + 1, None])
        data.append([stamps[index], None if value is None else round(value, 3)])
    return data


def _line(name: str, index: int, data: Data) -> dict[str, Any]:
    return {
        "type": "line",
        "name": name,
        "data": data,
        "color": SERIES[index % len(SERIES)],
        "lineStyle": {"width": 1.6},
        "areaStyle": {"opacity": 0.10},
        "showSymbol": len(data) < 3,
        "symbolSize": 5,
        "emphasis": {"disabled": True},
        "animation": False,
    }


def _line_options(unit: str, top: float | None) -> dict[str, Any]:
    options = _options(unit)
    options["xAxis"] = {
        "type": "time",
        "axisLine": {"lineStyle": {"color": LINE}},
        "splitNumber": 4,
        "axisLabel": _axis_label(hideOverlap=True, formatter=MOMENTS),
    }
    if top is not None:
        options["yAxis"].update(max=top, interval=top / 4)
    options["tooltip"].update(trigger="axis", axisPointer={"type": "line", "lineStyle": {"color": INK}})
    options["series"] = []
    return options


def _bar_options(unit: str) -> dict[str, Any]:
    options = _options(unit)
    options["xAxis"] = {**options["yAxis"], "name": ""}
    options["grid"].update(top=4, right=28)
    options["yAxis"] = {
        "type": "category",
        "inverse": True,
        "data": [],
        "axisTick": {"show": False},
        "axisLine": {"lineStyle": {"color": LINE}},
    }
    options["yAxis"]["axisLabel"] = _axis_label(interval=0, width=110, overflow="truncate")
    options["tooltip"].update(trigger="axis", axisPointer={"type": "none"})
    bars = {
        "type": "bar",
        "name": "count",
        "data": [],
        "color": SERIES[0],
        "barMaxWidth": 16,
        "emphasis": {"disabled": True},
        "animation": False,
    }
    options["series"] = [bars]
    return options


def _options(unit: str) -> dict[str, Any]:
    return {
        "animation": False,
        "textStyle": {"color": INK, "fontFamily": "inherit", "fontSize": 11},
        "grid": {"left": 8, "right": 12, "top": 26, "bottom": 4, "containLabel": True},
        "legend": {"show": False, "right": 8, "top": 0, "itemWidth": 14, "itemHeight": 3, "icon": "rect", "textStyle": {"color": INK}},
        "tooltip": {
            "backgroundColor": CARD,
            "borderColor": LINE,
            "textStyle": {"color": "var(--ff-ink)"},
            ":valueFormatter": f"value => value == null ? '–' : fieldfare.number(value) + ' {unit}'",
        },
        "yAxis": {
            "type": "value",
            "min": 0,
            "name": unit,
            "nameTextStyle": {"color": INK, "align": "right"},
            "splitNumber": 3,
            "splitLine": {"lineStyle": {"color": LINE}},
            "axisLabel": _axis_label(),
        },
    }


def _axis_label(**more: Any) -> dict[str, Any]:
    return {"color": INK, "fontSize": 11, **more}
