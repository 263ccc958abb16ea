"""Restarts: what counters say that begin anew at every reboot, and what so few of them prove."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from fleet.core.gates.evidence import Evidence, Metric, Sums
from fleet.core.gates.gate import assess
from fleet.core.gates.restarts import Count, restarts_since
from fleet.core.gates.verdict import Decision, GatePolicy, GateVerdict

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def count(restarts: int, first: float, last: float, session: str = "a") -> Count:
    return Count(session, restarts, at(first), at(last))


def test_what_a_counter_grew_by_since_a_moment_is_counted_over_the_time_watched() -> None:
    seen = [count(5, -90, -1), count(6, -0.5, 20), count(9, 20.5, 60)]

    assert restarts_since(seen, NOON) == Sums(3, 1.0)
    assert restarts_since(reversed(seen), NOON) == Sums(3, 1.0)


def test_a_reboot_begins_anew_and_nobody_watched_the_time_in_between() -> None:
    seen = [count(7, -60, 30), count(0, 90, 100, "b"), count(2, 100.5, 120, "b")]

    assert restarts_since(seen, NOON) == Sums(2, 1.0)


def test_what_a_session_counted_before_it_was_first_seen_is_not_held_against_anybody() -> None:
    assert restarts_since([count(40, 10, 40)], NOON) == Sums(0, 0.5)
    assert restarts_since([count(3, -60, -30)], NOON) == Sums(0, 0.0)
    assert restarts_since([], NOON) == Sums(0, 0.0)


def judged(canary: list[Sums], control: list[Sums]) -> GateVerdict:
    return assess(GatePolicy({Metric.RESTARTS: 0.2}), Evidence({Metric.RESTARTS: canary}, {Metric.RESTARTS: control}))


CALM = [Sums(index % 10 == 0, 1) for index in range(100)]  # a tenth of an hour's worth each


def test_a_release_that_crashes_everywhere_is_stopped_and_one_as_calm_as_ever_passes() -> None:
    assert judged([Sums(1, 1)] * 12, CALM).decision is Decision.STOP
    assert judged([Sums(0, 5)] * 12, CALM).decision is Decision.PASS
    assert judged([Sums(1, 10)] * 12, CALM).decision is Decision.PASS
    assert judged([Sums(0, 1)] * 3, CALM).decision is Decision.WAIT


@pytest.mark.parametrize("crashes", [10, 60, 10_000])
def test_one_device_that_crashes_without_end_neither_stops_a_release_nor_hides_a_bad_one(crashes: int) -> None:
    endless = Sums(crashes, 1)

    assert judged([Sums(0, 1)] * 9 + [endless], CALM).decision is not Decision.STOP
    assert judged([Sums(0, 1)] * 2 + [endless], CALM).decision is not Decision.STOP
    assert judged([Sums(2, 1)] * 12, [*CALM, *[endless] * 3]).decision is Decision.STOP


def test_without_devices_to_compare_with_nothing_is_said() -> None:
    assert judged([Sums(9, 1)] * 9, [Sums(0, 1)] * 4).decision is Decision.WAIT
    assert judged([], CALM).decision is Decision.WAIT
