"""Slow requests: against the device's own past where it has one, against the control's percentile where it has none."""

from __future__ import annotations

from random import Random

from contracts.sketches import Sketch, bin_of
from fleet.core.gates.evidence import Evidence, Metric
from fleet.core.gates.gate import assess
from fleet.core.gates.latency import slow_sums
from fleet.core.gates.verdict import Decision, GatePolicy

NOTHING = Sketch.of({})


def latencies(mean_ms: float, count: int, seed: int = 1) -> Sketch:
    random, bins = Random(seed), dict[int, int]()
    for _ in range(count):
        index = bin_of(mean_ms * random.lognormvariate(0, 0.3))
        bins[index] = bins.get(index, 0) + 1
    return Sketch.of(bins)


def decide(canary: list[tuple[Sketch, Sketch]], control: list[Sketch]) -> Decision:
    sums = slow_sums(canary, control, 1.2)
    return assess(GatePolicy({Metric.LATENCY: 0.05}), Evidence({Metric.LATENCY: sums}, {})).decision


def test_a_slower_release_stops_and_one_as_fast_as_ever_passes() -> None:
    control = [latencies(20, 1000, seed) for seed in range(20)]
    same = [(latencies(20, 1000, seed), NOTHING) for seed in range(50, 62)]
    slower = [(latencies(40, 1000, seed), NOTHING) for seed in range(50, 62)]

    assert decide(same, control) is Decision.PASS
    assert decide(slower, control) is Decision.STOP


def test_a_slow_kind_of_device_is_compared_with_itself() -> None:
    control = [latencies(20, 1000, seed) for seed in range(20)]
    as_ever = [(latencies(200, 1000, seed), latencies(200, 1000, 100 + seed)) for seed in range(12)]

    assert decide(as_ever, control) is Decision.PASS


def test_requests_beyond_the_limit_are_counted_and_nothing_is_said_without_a_usual() -> None:
    usual = Sketch.of({bin_of(10.0): 1000})
    now = Sketch.of({bin_of(10.0): 90, bin_of(13.0): 10})

    assert slow_sums([(now, NOTHING)], [usual], 1.2) == [(10, 100, 0.0, 0.0)]
    assert slow_sums([(now, NOTHING)], [], 1.2) == []
    assert slow_sums([(NOTHING, usual)], [usual], 1.2) == []
