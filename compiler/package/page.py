"""Draws the report as one self-contained page, report.html: no script, no request, light and dark."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib import resources

import jinja2

from compiler.package.report import Report


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


def render_page(report: Report) -> str:
    """Return the page."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"percent": percent, "points": points, "size": size, "count": lambda number: f"{number:,}"}
    template = environment.from_string((resources.files("compiler") / "package" / "report.html").read_text(encoding="utf-8"))
    return template.render(
        report=report,
        accuracy=_accuracy_axis(report),
        drop=_drop_axis(report),
        sized=[(name, target.bytes, "c") for name, target in report.targets.items()],
        sizes=Axis(0, max([report.model.bytes, *(target.bytes for target in report.targets.values())])),
    )


def _accuracy_axis(report: Report) -> Axis:
    """Span all the intervals, and a little air."""
    intervals = [i for target in report.targets.values() for i in (target.metric.float_interval, target.metric.compiled_interval)]
    low, high = min(i.low for i in intervals), max(i.high for i in intervals)
    air = 0.1 * (high - low)
    return Axis(max(0.0, low - air), min(1.0, high + air))


def _drop_axis(report: Report) -> Axis:
    """Span all the intervals, zero and the budget, and a little air."""
    metrics = [target.metric for target in report.targets.values()]
    low = min(0.0, *(metric.drop_lower for metric in metrics))
    high = max(report.max_drop, *(metric.drop_upper for metric in metrics))
    air = 0.1 * (high - low) or 0.01
    return Axis(low - air, high + air)


def percent(share: float) -> str:
    """Write a share as people read it."""
    return f"{100 * share:.2f} %"


def points(share: float) -> str:
    """Write a difference of shares in percentage points, with a true minus sign."""
    return f"{100 * share:+.2f}".replace("-", "−") if round(100 * share, 2) else "0.00"


def size(count: int) -> str:
    """Write a number of bytes in decimal units."""
    for unit, factor in (("MB", 1_000_000), ("kB", 1000)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"
