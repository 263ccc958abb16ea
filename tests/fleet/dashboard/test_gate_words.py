"""How a gate's numbers read: units, intervals, what is lacking, and metrics that nobody has heard of."""

from __future__ import annotations

from fleet.dashboard.gate_words import cells_of, chance, headline, line_of, rule
from fleet.views.rollouts import ComparisonView, GateView, MetricView, PlanView

WAITING = MetricView(
    metric="errors",
    decision="wait",
    canary=0.031,
    control=0.012,
    probability_worse=0.31,
    reason="",
    devices=8,
    limit=0.02,
    toward_pass=0.0,
    toward_stop=0.4,
)
PLAN = PlanView(
    threshold="5%",
    limits={"errors": 0.02, "latency": 0.05},
    sure_to_stop=0.975,
    sure_to_pass=0.9,
    latency_ratio=1.2,
    soak_s=300,
    patience_s=3600,
    deadline_s=1800,
    contact_s=1800,
    window="",
    zone="UTC",
    rate_per_min=None,
    approval=False,
    newcomers=False,
    take_back=True,
    hold_s=0,
)
COMPARISON = ComparisonView(
    metric="errors",
    unit="",
    canary=0.031,
    control=0.012,
    difference=0.019,
    low=-0.004,
    high=0.042,
    probability_higher=0.96,
    canary_devices=8,
    control_devices=40,
)


def test_a_metric_that_is_watched_says_what_it_saw_and_what_it_lacks() -> None:
    line = line_of(WAITING, COMPARISON)
    assert (line.canary, line.control, line.allowed) == ("3.10 %", "1.20 %", "up to 2.00 %")
    assert line.difference == "+1.90 % (−0.40 % to +4.20 %)"
    assert line.probability == "31.0 %"
    assert (line.evidence, line.evidence_text) == (0.4, "40 % of what it takes to stop")
    assert line.need == "needs about 12 devices more, or 2.5 times as long on these 8"


def test_halves_are_compared_side_by_side() -> None:
    assert cells_of(COMPARISON) == ("errors", "3.10 %", "1.20 %", "+1.90 % (−0.40 % to +4.20 %)", "96.0 %", "8 and 40")


def test_too_little_evidence_is_no_ground_for_a_forecast() -> None:
    assert line_of(WAITING.model_copy(update={"toward_stop": 0.01})).need == "cannot say yet how much more, after 8 devices"
    nothing = MetricView(
        metric="errors", decision="wait", canary=None, control=None, probability_worse=None, reason="errors: expected more, found 0"
    )
    line = line_of(nothing)
    assert (line.canary, line.difference, line.evidence_text, line.need) == ("–", "–", "none yet", "expected more, found 0")


def test_a_decision_needs_nothing_more() -> None:
    line = line_of(WAITING.model_copy(update={"decision": "stop"}))
    assert (line.evidence, line.evidence_text, line.need) == (1.0, "enough: worse than allowed", "")


def test_a_metric_of_a_later_release_is_shown_as_plain_numbers() -> None:
    line = line_of(WAITING.model_copy(update={"metric": "confidence_shift"}))
    assert (line.name, line.canary, line.allowed) == ("confidence shift", "0.03", "up to 0.02")


def test_a_probability_is_never_quite_nothing_or_all() -> None:
    assert [chance(share) for share in (0.0, 0.5, 1.0)] == ["below 0.1 %", "50.0 %", "above 99.9 %"]


def test_the_headline_names_what_decides() -> None:
    stopping = WAITING.model_copy(update={"metric": "latency", "decision": "stop"})
    assert headline(GateView(decision="wait", reason="", metrics=(WAITING,))) == "Waits for evidence on errors."
    assert (
        headline(GateView(decision="stop", reason="", metrics=(WAITING, stopping))) == "The release is worse than allowed: slow requests."
    )


def test_how_sure_it_must_be_is_told() -> None:
    assert rule(PLAN).startswith(
        "It passes once it is 90 % sure that every metric is within its limit, and stops the rollout once it is 97.5 %"
    )
    assert rule(PLAN.model_copy(update={"sure_to_pass": None, "sure_to_stop": None})) == ""
