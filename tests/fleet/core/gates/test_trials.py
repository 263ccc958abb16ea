"""How often the gate is right: whole rollouts over made-up fleets, good releases and bad ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fleet.core.gates.evidence import Metric
from fleet.core.gates.verdict import GatePolicy
from tests.sim.release_trial import Fleet, Outcome, Trial, run, stopped

RUNS = 1000
A_TENTH = 0.1 + 1e-9


def follow(fleet: Fleet, trial: Trial, runs: int) -> list[Outcome]:
    random = np.random.default_rng(11)
    return [run(fleet, trial, random) for _ in range(runs)]


def test_a_good_release_is_stopped_in_at_most_one_of_twenty_rollouts(tell: Callable[[str], None]) -> None:
    share = stopped(follow(Fleet(), Trial(), RUNS))

    tell(f"gate: a good release was wrongly stopped in {share:.1%} of {RUNS} rollouts (at most 5 %)")
    assert share <= 0.05


def test_five_points_more_errors_are_stopped_before_a_tenth_of_the_fleet_has_them(tell: Callable[[str], None]) -> None:
    outcomes = follow(Fleet(), Trial(added_errors=0.05), RUNS)

    within, at_once = stopped(outcomes, A_TENTH), stopped(outcomes, 0.01 + 1e-9)
    tell(f"gate: 5 points more errors were stopped within 10 % of the fleet in {within:.1%} of {RUNS} rollouts (at least 95 %)")
    tell(f"gate: and within the first 1 % of it in {at_once:.1%}")
    assert within >= 0.95


@pytest.mark.parametrize(
    ("fleet", "trial"),
    [
        pytest.param(Fleet(swing=0.5), Trial(), id="busy by day"),
        pytest.param(Fleet(lemons=5), Trial(), id="broken devices"),
        pytest.param(Fleet(devices=100), Trial(), id="a hundred devices"),
        pytest.param(Fleet(devices=20), Trial(waves=(0.1, 0.25, 0.5, 1.0)), id="twenty devices"),
        pytest.param(Fleet(requests_per_window=3), Trial(), id="rare requests"),
        pytest.param(Fleet(spread=2.0), Trial(), id="very different devices"),
        pytest.param(Fleet(), Trial(added_errors=0.01), id="just at the limit"),
    ],
)
def test_a_release_within_its_limit_is_rarely_stopped_on_any_fleet(fleet: Fleet, trial: Trial) -> None:
    assert stopped(follow(fleet, trial, 100)) <= 0.05


@pytest.mark.parametrize(
    ("fleet", "trial"),
    [
        pytest.param(Fleet(swing=0.5), Trial(added_errors=0.05), id="busy by day"),
        pytest.param(Fleet(lemons=5), Trial(added_errors=0.05), id="hidden behind broken devices"),
        pytest.param(Fleet(devices=100), Trial(added_errors=0.05), id="a hundred devices"),
        pytest.param(Fleet(requests_per_window=3), Trial(added_errors=0.05), id="rare requests"),
        pytest.param(Fleet(), Trial(added_errors=0.03), id="three points"),
    ],
)
def test_a_bad_release_is_stopped_early_on_any_fleet(fleet: Fleet, trial: Trial) -> None:
    assert stopped(follow(fleet, trial, 100), A_TENTH) >= 0.95


def test_five_percent_more_of_many_errors_needs_more_of_the_fleet(tell: Callable[[str], None]) -> None:
    """A fifth of all requests fails, then 5 % more of them: one point. A limit of a fifth of a point is asked for."""
    policy = GatePolicy({Metric.ERRORS: 0.002})
    outcomes = follow(Fleet(error_rate=0.2, spread=0.2), Trial(added_errors=0.01, policy=policy), 100)

    early, ever = stopped(outcomes, A_TENTH), stopped(outcomes)
    tell(f"gate: 5 % more of an error rate of 20 % was stopped within 10 % of the fleet in {early:.0%} of 100 rollouts, ever in {ever:.0%}")
    assert ever >= 0.9


def test_a_pair_of_canaries_in_a_fleet_of_twenty_is_not_enough_and_a_quarter_is() -> None:
    outcomes = follow(Fleet(devices=20), Trial(added_errors=0.05, waves=(0.1, 0.25, 0.5, 1.0)), 100)

    assert stopped(outcomes, 0.25 + 1e-9) >= 0.9
