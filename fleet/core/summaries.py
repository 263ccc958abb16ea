"""Sums up what many messages said in few numbers, so that sums of sums are the sums of all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from contracts.sketches import Sketch, merged

EMPTY = Sketch(steps=(), counts=())


@dataclass(frozen=True)
class Gauge:
    """One measured quantity over a time."""

    count: int
    total: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Gauge | None:
        """Sum up the values that were measured; None when none was."""
        known = [value for value in values if value is not None]
        return cls(len(known), sum(known), min(known), max(known)) if known else None

    @property
    def mean(self) -> float:
        """Return the mean of all values."""
        return self.total / self.count


def joined_gauge(parts: Iterable[Gauge | None]) -> Gauge | None:
    """Return the gauge of all parts' values."""
    known = [part for part in parts if part is not None]
    if not known:
        return None
    return Gauge(
        count=sum(part.count for part in known),
        total=sum(part.total for part in known),
        lowest=min(part.lowest for part in known),
        highest=max(part.highest for part in known),
    )


@dataclass(frozen=True)
class Work:
    """What one release did on one device over a time."""

    # Seconds that the windows covered.
    window_s: float
    requests: int
    errors: int
    # Median latency of each window times its requests: divided by all requests, their mean.
    p50_total: float
    # Of the slowest window: without their distributions percentiles cannot be added up, and this one hides nothing.
    p95_highest: float
    provider: str
    classes: Mapping[str, int] = field(default_factory=dict)
    # Milliseconds, and scores of the winning classes, of those windows that told them all.
    latencies: Sketch = EMPTY
    confidences: Sketch = EMPTY

    @property
    def p50_ms(self) -> float:
        """Return the median of all latencies; of windows that do not tell them, the mean of medians, each as often as it had requests."""
        if self.latencies.counts:
            return self.latencies.quantile(0.50)
        return self.p50_total / self.requests if self.requests else 0.0

    @property
    def p95_ms(self) -> float:
        """Return the 95th percentile of all latencies; of windows that do not tell them, that of the slowest one."""
        return self.latencies.quantile(0.95) if self.latencies.counts else self.p95_highest


def joined_work(parts: Sequence[Work]) -> Work:
    """Return the work of all parts, the newest last; there is one."""
    classes: Counter[str] = Counter()
    for part in parts:
        classes.update(part.classes)
    return Work(
        window_s=sum(part.window_s for part in parts),
        requests=sum(part.requests for part in parts),
        errors=sum(part.errors for part in parts),
        p50_total=sum(part.p50_total for part in parts),
        p95_highest=max(part.p95_highest for part in parts),
        provider=parts[-1].provider,
        classes=dict(classes),
        latencies=merged(part.latencies for part in parts),
        confidences=merged(part.confidences for part in parts),
    )
