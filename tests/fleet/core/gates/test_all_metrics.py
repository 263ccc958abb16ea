"""How often a gate that watches every metric at once is right: good releases, and releases that are bad in one way each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fleet.core.gates.evidence import Metric
from tests.sim.metrics_trial import EFFECTS, LIMITS, WAVES, Effect, ever_missed, stopped_at

RUNS, FEW_RUNS = 1000, 300
A_TENTH = 0.1 + 1e-9


def test_a_good_release_is_stopped_in_at_most_one_of_twenty_rollouts_with_all_metrics_on(tell: Callable[[str], None]) -> None:
    share = float(np.mean(stopped_at(Effect(), RUNS) < 1))

    tell(f"gate on {len(LIMITS)} metrics at once: a good release was wrongly stopped in {share:.1%} of {RUNS} rollouts (at most 5 %)")
    assert share <= 0.05


def test_a_release_at_all_of_its_limits_is_stopped_in_at_most_one_of_twenty_rollouts(tell: Callable[[str], None]) -> None:
    """Nothing is worse than allowed, and everything just as bad: here the metrics' chances of error add up, if anywhere."""
    at_limits = Effect(errors=0.01, latency_factor=1.2, restarts_per_h=0.3, degrees=2.0, drift=0.1)
    share = float(np.mean(stopped_at(at_limits, FEW_RUNS) < 1))

    tell(f"gate on {len(LIMITS)} metrics at once: one just at every limit was stopped in {share:.1%} of {FEW_RUNS} rollouts (at most 5 %)")
    assert share <= 0.05


@pytest.mark.parametrize("how", EFFECTS)
def test_a_bad_release_is_stopped_before_a_tenth_of_the_fleet_has_it(how: str, tell: Callable[[str], None]) -> None:
    exposed = stopped_at(EFFECTS[how], FEW_RUNS, waves=WAVES[:3])

    within, half = float(np.mean(exposed <= A_TENTH)), float(np.median(exposed))
    tell(f"gate: {how}: stopped within 10 % of the fleet in {within:.1%} of {FEW_RUNS} rollouts (at least 95 %), half within {half:.0%}")
    assert within >= 0.95


@pytest.mark.parametrize("metric", [Metric.ERRORS, Metric.RESTARTS, Metric.TEMPERATURE])
def test_an_interval_holds_the_true_difference_at_every_look_in_nineteen_of_twenty_comparisons(
    metric: Metric, tell: Callable[[str], None]
) -> None:
    share = float(np.mean(ever_missed(metric, FEW_RUNS)))

    tell(f"report: an interval of {metric.value} ever missed the true difference in {share:.1%} of {FEW_RUNS} comparisons (at most 5 %)")
    assert share <= 0.05
