"""What a gate is told and what it says: a limit for each metric, and how each stands; reckoning it is `gate`'s part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from fleet.core.gates.answers import MIN_ANSWERS
from fleet.core.gates.evidence import Metric


class Decision(str, Enum):
    """What the evidence allows."""

    PASS = "pass"  # noqa: S105 - no password
    STOP = "stop"
    WAIT = "wait"


@dataclass(frozen=True)
class Kind:
    """How a metric is measured and read."""

    # Of one device, below which its rate is noise.
    min_weight: float
    scale: float
    is_count: bool
    has_control: bool
    # How a margin or a mean is written for people: a format, after multiplication.
    form: str
    # What a rate is, in words.
    unit: str
    factor: float = 1.0
    # Most devices have none, however long they are watched.
    is_rare: bool = False
    # The devices that were measured are the very ones that are decided about.
    is_census: bool = False


KINDS: Mapping[Metric, Kind] = {
    Metric.ERRORS: Kind(20, 0.03, is_count=True, has_control=True, form="{:.2f} %", unit="failed share of requests", factor=100),
    # A twentieth of the control's requests are slower than its own p95.
    Metric.LATENCY: Kind(
        20, 0.05, is_count=True, has_control=False, form="{:.1f} % slower than the limit", unit="slow share of requests", factor=100
    ),
    Metric.RESTARTS: Kind(1 / 6, 0.5, is_count=True, has_control=True, form="{:.2f} an hour", unit="restarts an hour", is_rare=True),
    Metric.TEMPERATURE: Kind(3, 5.0, is_count=False, has_control=True, form="{:.1f} C", unit="degrees Celsius"),
    Metric.DISAGREEMENT: Kind(
        20, 0.05, is_count=True, has_control=False, form="{:.2f} %", unit="differing share of answers", factor=100, is_census=True
    ),
    Metric.CONFIDENCE: Kind(20, 0.05, is_count=False, has_control=False, form="{:.3f}", unit="loss of the winning score"),
    Metric.DRIFT: Kind(MIN_ANSWERS, 0.1, is_count=False, has_control=True, form="{:.3f}", unit="population stability index"),
}


@dataclass(frozen=True)
class GatePolicy:
    """How much worse each metric may be, in its own unit, and how sure the gate must be of either answer."""

    limits: Mapping[Metric, float]
    # Chance of stopping a release that is within all limits, over the whole rollout, and of passing one that is not.
    false_stop: float = 0.05
    false_pass: float = 0.1


@dataclass(frozen=True)
class MetricVerdict:
    """One metric: what was seen, and how likely the release exceeds its limit; None while nothing can be said."""

    metric: Metric
    decision: Decision
    canary: float | None
    control: float | None
    probability_worse: float | None
    reason: str
    devices: int = 0
    # How much above the control it may be, or above nothing where the metric has none.
    limit: float | None = None
    # Of the evidence that an answer takes, the share that is there: at 1 the gate says so.
    toward_stop: float = 0.0
    toward_pass: float = 0.0


@dataclass(frozen=True)
class Comparison:
    """How two arms differ in one metric, whatever its limit: canary less control, and how likely the canary's is higher at all."""

    metric: Metric
    canary: float
    control: float
    difference: float
    # Hold the true difference with 95 %, at every look.
    low: float
    high: float
    probability_higher: float
    canary_devices: int
    control_devices: int


@dataclass(frozen=True)
class GateVerdict:
    """All of it; `reason` is one line for people."""

    decision: Decision
    reason: str
    metrics: tuple[MetricVerdict, ...] = field(default=())
    # Of every metric that both arms tell of, with a limit or without.
    report: tuple[Comparison, ...] = field(default=())
