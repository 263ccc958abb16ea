"""What a device's charts show."""

from __future__ import annotations

from pydantic import AwareDatetime

from fleet.views.base import View


class Gauges(View):
    """What is measured of a device's health."""

    cpu_percent: float
    memory_percent: float
    disk_percent: float
    temperature_c: float | None


class HealthPoint(View):
    """One point of the health charts: one message, or over a long time the means of many."""

    at: AwareDatetime
    cpu_percent: float
    memory_percent: float
    disk_percent: float
    temperature_c: float | None
    # Seconds from `at` on that it sums up, with the lowest and highest values in them; None for one message.
    span_s: float | None = None
    lowest: Gauges | None = None
    highest: Gauges | None = None


class InferencePoint(View):
    """One window of one model on one device, or the sum of many."""

    at: AwareDatetime
    model: str
    release: int
    requests_per_s: float
    errors: int
    p50_ms: float
    p95_ms: float
    classes: dict[str, int]
    provider: str
    # Seconds from `at` on that it sums up, with percentiles of all requests; of an agent that does not tell each window's distribution,
    # `p50_ms` is then the mean of the windows', `p95_ms` that of the slowest. None for one window.
    span_s: float | None = None
