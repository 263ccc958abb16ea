"""What the gate says of a few devices: in which direction, with which words, and when it says nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.core.gates.evidence import Evidence, Metric, Sums
from fleet.core.gates.gate import assess
from fleet.core.gates.verdict import Decision, GatePolicy

ERRORS = GatePolicy({Metric.ERRORS: 0.01})


def devices(rate: float, count: int, requests: int = 2000, seed: int = 5) -> list[Sums]:
    random = np.random.default_rng(seed)
    return [Sums(float(random.binomial(requests, rate)), requests) for _ in range(count)]


def on_errors(canary: list[Sums], control: list[Sums]) -> Evidence:
    return Evidence({Metric.ERRORS: canary}, {Metric.ERRORS: control})


def test_many_more_errors_stop_and_the_reason_gives_both_rates() -> None:
    verdict = assess(ERRORS, on_errors(devices(0.10, 10), devices(0.02, 100, seed=6)))

    assert verdict.decision is Decision.STOP
    assert verdict.reason.startswith("errors 9.9")
    assert "on 10 devices against 1.9" in verdict.reason
    assert verdict.reason.endswith("sure of more than 1.00 % above")


def test_the_same_errors_pass_once_there_are_enough_requests_to_say_so() -> None:
    few = assess(ERRORS, on_errors(devices(0.02, 4, requests=25), devices(0.02, 100, seed=6)))
    many = assess(ERRORS, on_errors(devices(0.02, 10), devices(0.02, 100, seed=6)))

    assert (few.decision, many.decision) == (Decision.WAIT, Decision.PASS)


def test_no_errors_anywhere_pass() -> None:
    assert assess(ERRORS, on_errors(devices(0, 10), devices(0, 100))).decision is Decision.PASS


def test_one_broken_device_stops_nothing_and_hides_nothing() -> None:
    broken = Sums(2000, 2000)
    control = devices(0.02, 100, seed=6)

    assert assess(ERRORS, on_errors([*devices(0.02, 9), broken], control)).decision is not Decision.STOP
    assert assess(ERRORS, on_errors([*devices(0.10, 9), broken], control)).decision is Decision.STOP


@pytest.mark.parametrize(
    ("canary", "control"),
    [([], devices(0.02, 9)), (devices(0.02, 9), []), (devices(0.5, 9, requests=3), devices(0.02, 9)), (devices(0.9, 1), devices(0.02, 3))],
    ids=["no canary", "no control", "no traffic", "one against three"],
)
def test_too_little_to_compare_waits_and_says_what_is_missing(canary: list[Sums], control: list[Sums]) -> None:
    verdict = assess(ERRORS, on_errors(canary, control))

    assert verdict.decision is Decision.WAIT
    assert "expected more devices that say something, found" in verdict.reason


def test_a_devices_own_past_explains_what_it_does_now() -> None:
    """Devices fail from 0 to 30 % of their requests, each as often as ever; the canaries happen to be the bad ones, and one point worse."""
    own = np.linspace(0, 0.3, 60)

    def sums(rate: float, added: float) -> Sums:
        return Sums((rate + added) * 4000, 4000, rate * 4000, 4000)

    same = on_errors([sums(rate, 0) for rate in own[45:]], [sums(rate, 0) for rate in own[:45]])
    worse = on_errors([sums(rate, 0.05) for rate in own[45:]], [sums(rate, 0) for rate in own[:45]])

    assert assess(ERRORS, same).decision is Decision.PASS
    assert assess(ERRORS, worse).decision is Decision.STOP


@pytest.mark.parametrize(
    ("metric", "margin", "good", "bad"),
    [
        (Metric.RESTARTS, 0.2, Sums(0, 12), Sums(10, 12)),
        (Metric.TEMPERATURE, 5.0, Sums(100 * 60.0, 100), Sums(100 * 75.0, 100)),
        (Metric.DRIFT, 0.1, Sums(1000 * 0.05, 1000), Sums(1000 * 0.9, 1000)),
        (Metric.LATENCY, 0.05, Sums(20, 1000), Sums(300, 1000)),
        (Metric.DISAGREEMENT, 0.05, Sums(5, 1000), Sums(300, 1000)),
    ],
)
def test_each_metric_passes_what_is_within_its_limit_and_stops_what_is_not(metric: Metric, margin: float, good: Sums, bad: Sums) -> None:
    policy = GatePolicy({metric: margin})
    control = {metric: [good] * 50}

    assert assess(policy, Evidence({metric: [good] * 12}, control)).decision is Decision.PASS
    assert assess(policy, Evidence({metric: [bad] * 12}, control)).decision is Decision.STOP


def test_one_metric_in_excess_stops_whatever_the_others_say_and_one_in_doubt_waits() -> None:
    policy = GatePolicy({Metric.ERRORS: 0.01, Metric.RESTARTS: 1.0})
    calm, wild = [Sums(0, 1)] * 30, [Sums(40, 1)] * 30
    fine = {Metric.ERRORS: devices(0.02, 30), Metric.RESTARTS: calm}

    assert assess(policy, Evidence(fine, fine)).decision is Decision.PASS
    assert assess(policy, Evidence({**fine, Metric.RESTARTS: wild}, fine)).decision is Decision.STOP
    assert assess(policy, Evidence({Metric.ERRORS: fine[Metric.ERRORS]}, fine)).decision is Decision.WAIT


def test_a_handful_of_devices_without_any_error_is_an_answer_however_few_are_compared_with() -> None:
    calm = [Sums(0, 20)]

    verdict = assess(GatePolicy({Metric.ERRORS: 0.0}), on_errors(calm * 5, calm * 3))

    assert verdict.decision is Decision.WAIT
    assert verdict.metrics[0].probability_worse == pytest.approx(0.5)


SUMS = st.builds(
    lambda weight, share, before, share_before: Sums(weight * share, weight, before * share_before, before),
    st.floats(0, 1e6), st.floats(0, 1), st.floats(0, 1e6), st.floats(0, 1),
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(list(Metric)), st.floats(0, 10), st.lists(SUMS, max_size=12), st.lists(SUMS, max_size=25))
def test_whatever_devices_say_the_answer_is_one_and_its_probability_is_one(
    metric: Metric, margin: float, canary: list[Sums], control: list[Sums]
) -> None:
    verdict = assess(GatePolicy({metric: margin}), Evidence({metric: canary}, {metric: control}))

    (found,) = verdict.metrics
    assert verdict.decision is found.decision
    assert found.probability_worse is None or 0 <= found.probability_worse <= 1
    assert verdict.reason
