"""Decides how a gate's numbers read to people: canary against control, how sure it is and must be, and what is still needed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from fleet.core.gates.evidence import Metric
from fleet.core.gates.verdict import KINDS
from fleet.dashboard.words import devices, number, words_of
from fleet.views.rollouts import ComparisonView, GateView, MetricView, PlanView

# Below this share of the evidence, how much is lacking is anybody's guess.
MIN_FORECAST = 0.05
# Where people call it otherwise than programs.
METRICS = {"latency": "slow requests", "restarts": "worker restarts"}


@dataclass(frozen=True)
class MetricLine:
    """One metric as it stands in the table."""

    name: str
    decision: str
    canary: str
    control: str
    # Difference with its interval, beside what is allowed.
    difference: str
    allowed: str
    # How sure it is that the release is worse than allowed.
    probability: str
    # From 0 to 1, and in words.
    evidence: float
    evidence_text: str
    need: str


def headline(gate: GateView) -> str:
    """Say in one line where the gate stands."""
    waits = [metric.metric for metric in gate.metrics if metric.decision == "wait"]
    if gate.decision == "wait":
        return f"Waits for evidence on {_listed(waits)}." if waits else "Waits for evidence."
    if gate.decision == "stop":
        worse = [metric.metric for metric in gate.metrics if metric.decision == "stop"]
        return f"The release is worse than allowed: {_listed(worse)}." if worse else "The release is worse than allowed."
    return "All limits are surely kept; the next wave may open."


def rule(plan: PlanView) -> str:
    """Say how sure the gate must be of either answer."""
    if plan.sure_to_pass is None or plan.sure_to_stop is None:
        return ""
    return (
        f"It passes once it is {_sure(plan.sure_to_pass)} sure that every metric is within its limit, and stops the rollout once it is "
        f"{_sure(plan.sure_to_stop)} sure that one is not; it may look as often as it likes."
    )


def line_of(metric: MetricView, comparison: ComparisonView | None = None) -> MetricLine:
    """Put one metric in words; `comparison` is how the arms differ in it, where both tell of it."""
    say = _writer(metric.metric)
    is_stop = metric.toward_stop > metric.toward_pass
    evidence = max(metric.toward_pass, metric.toward_stop) if metric.decision == "wait" else 1.0
    return MetricLine(
        name=_spoken(metric.metric),
        decision=metric.decision,
        canary=_or_dash(metric.canary, say),
        control=_or_dash(metric.control, say),
        difference=_difference(comparison, say),
        allowed=_or_dash(metric.limit, lambda limit: f"up to {say(limit)}"),
        probability=_or_dash(metric.probability_worse, chance),
        evidence=evidence,
        evidence_text=_evidence(metric, evidence, is_stop=is_stop),
        need=_need(metric, evidence),
    )


def cells_of(found: ComparisonView) -> tuple[str, ...]:
    """Put how two halves differ in one metric in words: its name, both, their difference, and how likely the first is higher."""
    say = _writer(found.metric)
    counts = f"{found.canary_devices} and {found.control_devices}"
    return _spoken(found.metric), say(found.canary), say(found.control), _difference(found, say), chance(found.probability_higher), counts


def chance(share: float) -> str:
    """Write a probability, which is never quite 0 or 1."""
    if share < 0.001:
        return "below 0.1 %"
    return "above 99.9 %" if share > 0.999 else f"{share * 100:.1f} %"


def _evidence(metric: MetricView, evidence: float, *, is_stop: bool) -> str:
    if metric.decision == "pass":
        return "enough: within its limit"
    if metric.decision == "stop":
        return "enough: worse than allowed"
    if metric.canary is None:
        return "none yet"
    return f"{evidence * 100:.0f} % of what it takes to {'stop' if is_stop else 'pass'}"


def _need(metric: MetricView, evidence: float) -> str:
    if metric.decision != "wait":
        return ""
    if metric.canary is None:
        return metric.reason.partition(": ")[2] or metric.reason
    if evidence < MIN_FORECAST or not metric.devices:
        return f"cannot say yet how much more, after {devices(metric.devices)}"
    more = max(1, math.ceil(metric.devices * (1 / evidence - 1)))
    return f"needs about {devices(more)} more, or {1 / evidence:.1f} times as long on these {metric.devices}"


def _difference(found: ComparisonView | None, say: Callable[[float], str]) -> str:
    return "–" if found is None else f"{_signed(found.difference, say)} ({_signed(found.low, say)} to {_signed(found.high, say)})"


def _signed(value: float, say: Callable[[float], str]) -> str:
    return f"{'+' if value >= 0 else '−'}{say(abs(value))}"


def _writer(metric: str) -> Callable[[float], str]:
    """Return how a value of a metric is written; one that this release does not know is a plain number."""
    kind = KINDS.get(Metric(metric)) if metric in {known.value for known in Metric} else None
    if kind is None:
        return number
    # The unit alone: the table's head says the rest.
    form = kind.form.replace(" slower than the limit", "").replace(" C", " °C")
    return lambda value: form.format(value * kind.factor)


def _or_dash(value: float | None, say: Callable[[float], str]) -> str:
    return "–" if value is None else say(value)


def _sure(share: float) -> str:
    return f"{share * 100:.3g} %"


def _listed(names: list[str]) -> str:
    return ", ".join(map(_spoken, names))


def _spoken(metric: str) -> str:
    return METRICS.get(metric, words_of(metric))
