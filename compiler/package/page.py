"""Draws the report as one self-contained page, report.html: no script, no request, light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import jinja2

from compiler.costs import DeviceTime, in_words
from compiler.edgetpu.document import PLACES
from compiler.package import words
from compiler.package.layers import LayerSqnr, NoiseOrigins, worst_layers
from compiler.package.report import Report
from contracts.preprocess import Preprocess

FILTERS = {
    "percent": words.percent,
    "value": words.value,
    "change": words.change,
    "budget": words.budget,
    "size": words.size,
    "count": lambda number: f"{number:,}",
}


@dataclass(frozen=True)
class Axis:
    """A horizontal scale: values from `low` to `high` lie at 0 to 100 percent."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Return a value's place in percent, rounded so that the page is short; values outside stay at the ends."""
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(1.0, max(0.0, share)), 2)

    def ticks(self) -> list[float]:
        """Return three to seven round values on the scale."""
        step = 10.0 ** math.floor(math.log10((self.high - self.low) / 2))
        while (self.high - self.low) / step > 7:
            step *= 2 if f"{step:e}"[0] != "2" else 2.5
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(number * step, 12) for number in range(first, last + 1)]


@dataclass(frozen=True)
class Timed:
    """The median time of one inference, of `float` or of a target's file, and the library that it was measured in."""

    name: str
    median_ms: float
    runtime: str


@dataclass(frozen=True)
class Speed:
    """What was timed on this host, and earlier on devices; it is told on the page alone."""

    host: str
    timed: tuple[Timed, ...]
    devices: tuple[DeviceTime, ...] = ()

    @property
    def axis(self) -> Axis:
        """Return the scale of all times."""
        return Axis(0, max(timed.median_ms for timed in self.timed))


def render_page(report: Report, speed: Speed) -> str:
    """Return the page."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("compiler", "package"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS
    return environment.get_template("report.html").render(
        report=report,
        speed=speed,
        device_time=in_words,
        accuracy=_metric_axis(report),
        drop=_drop_axis(report),
        sized=[(name, target.bytes, "c") for name, target in report.targets.items()],
        sizes=Axis(0, max([report.model.bytes, *(target.bytes for target in report.targets.values())])),
        steps=steps(report.preprocess),
        class_name=lambda index: f"{index} · {report.labels[index]}" if index < len(report.labels) else str(index),
        heat=heat,
        layer_axis=_layer_axis,
        worst_layers=worst_layers,
        made_here=made_here,
        origins=tuple(NoiseOrigins.model_fields),
        operators=_operators(report),
        edge_tpu_places=PLACES,
    )


def steps(preprocess: Preprocess) -> str:
    """Write preprocessing as a formula, and the image steps around it."""
    images = {key: getattr(preprocess, key) for key in ("source", "resize", "kernel", "crop", "channels", "layout")}
    given = [f"{key} {'x'.join(map(str, step)) if isinstance(step, tuple) else step}" for key, step in images.items() if step is not None]
    return ", ".join([*given, f"(x × {preprocess.scale} − {_numbers(preprocess.mean)}) ÷ {_numbers(preprocess.std)}"])


def heat(count: int, row: Sequence[int]) -> int:
    """Return how strongly a cell of the confusion matrix is coloured, in percent; a single confusion can be seen."""
    return 0 if not count else max(12, round(80 * count / sum(row)))


def made_here(layer: LayerSqnr) -> float:
    """Return the share of a layer's noise that did not come in with its inputs."""
    return round(1 - layer.origins.inputs, 3) if layer.origins else 0.0


def _numbers(values: float | tuple[float, ...]) -> str:
    return f"({', '.join(map(str, values))})" if isinstance(values, tuple) else str(values)


def _metric_axis(report: Report) -> Axis:
    """Span all the intervals, and a little air; a share stays between none and all."""
    metrics = [target.metric for target in report.targets.values()]
    intervals = [interval for metric in metrics for interval in (metric.float_interval, metric.compiled_interval)]
    low, high = min(interval.low for interval in intervals), max(interval.high for interval in intervals)
    air = 0.1 * (high - low) or 0.05 * abs(high) or 0.01
    low, high = low - air, high + air
    return Axis(max(0.0, low), min(1.0, high)) if metrics[0].unit == "share" else Axis(low, high)


def _drop_axis(report: Report) -> Axis:
    """Span all the intervals, zero and the budget, and a little air."""
    metrics = [target.metric for target in report.targets.values()]
    low = min(0.0, *(metric.drop_lower for metric in metrics))
    high = max(report.max_drop, *(metric.drop_upper for metric in metrics))
    air = 0.1 * (high - low) or 0.01
    return Axis(low - air, high + air)


def _layer_axis(layers: Sequence[LayerSqnr]) -> Axis:
    values = [layer.sqnr_db for layer in layers]
    return Axis(min(0.0, *values), max(1.0, *values))


def _operators(report: Report) -> list[tuple[str, list[str]]]:
    """Return a row for each kind of operator: the numbers and the count on each target, in the report's order."""
    kinds = sorted({placed.operator for target in report.targets.values() for placed in target.placement})
    return [(kind, [_cell(kind, report, name) for name in report.targets]) for kind in kinds]


def _cell(kind: str, report: Report, name: str) -> str:
    placed = [placed for placed in report.targets[name].placement if placed.operator == kind]
    return ", ".join(f"{one.numbers} × {one.count}" for one in placed) or "–"
