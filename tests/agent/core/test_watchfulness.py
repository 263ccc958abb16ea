"""What a supervisor decides of the worker that it watches, each decision a pure function."""

from __future__ import annotations

from collections import deque

from agent.core.alarm import FEW_FAILURES, STEADY_S, Alarm, Trouble
from agent.core.allowance import Allowance
from agent.core.growth import MIB, Sample, is_last_straw, slope_bytes_per_s, tiredness
from agent.core.relief import Relief

BOUND = 100 * MIB


def samples(*mib: float, every_s: float = 10.0) -> deque[Sample]:
    """Return samples at a steady pace, as whoever takes them keeps them."""
    return deque(Sample(i * every_s, int(size * MIB)) for i, size in enumerate(mib))


def test_the_slope_is_the_middle_of_all_slopes() -> None:
    assert slope_bytes_per_s(samples(0, 10, 20, 30, every_s=1)) == 10 * MIB
    assert slope_bytes_per_s(samples(0, 10, 900, 30, 40, every_s=1)) == 10 * MIB
    assert slope_bytes_per_s(samples(5)) == 0
    assert slope_bytes_per_s([Sample(1, 5), Sample(1, 9)]) == 0


def test_a_worker_beyond_its_bound_or_about_to_pass_it_is_tired() -> None:
    assert tiredness(samples(101), BOUND) == "memory: expected at most 100 MiB, found 101 MiB"
    assert tiredness(samples(*range(60, 80, 1)), BOUND) == ""
    assert "grow by 12 MiB a minute" in tiredness(samples(*range(52, 92, 2)), BOUND)


def test_a_worker_that_has_settled_below_its_bound_is_not_tired() -> None:
    assert tiredness([], BOUND) == ""
    assert tiredness(samples(*([99] * 60)), BOUND) == ""
    assert tiredness(samples(10, 95, *([95] * 30)), BOUND) == ""
    assert tiredness(samples(*range(1, 40, 2)), BOUND) == ""  # it grows, and has far to go


def test_far_beyond_its_bound_a_worker_is_ended_at_once() -> None:
    assert not is_last_straw(149 * MIB, BOUND)
    assert is_last_straw(151 * MIB, BOUND)


def test_an_alarm_is_raised_by_the_first_failure_and_cleared_when_the_worker_serves_again() -> None:
    trouble, alarm = Trouble().failed("signal 9")
    assert alarm == Alarm("error", "down", "crashed: signal 9")
    trouble, alarm = trouble.served(0.1)
    assert alarm == Alarm("info", "up", "serves again after one failure")
    assert trouble.served(0.2) == (trouble, None)
    assert trouble.served(STEADY_S) == (Trouble(), None)


def test_a_worker_that_nobody_complained_of_gives_no_all_clear() -> None:
    assert Trouble().served(1) == (Trouble(), None)


def test_a_device_that_is_unplugged_for_a_week_is_told_of_a_few_times() -> None:
    trouble, told = Trouble(), 0
    for _ in range(10_000):
        trouble, alarm = trouble.failed("no Edge TPU")
        told += alarm is not None
    assert told == 14
    assert trouble.failed("another reason")[1] is not None


def test_a_worker_that_keeps_crashing_is_only_believed_when_it_is_steady() -> None:
    trouble = Trouble()
    for _ in range(FEW_FAILURES + 1):
        trouble, _ = trouble.failed("signal 11")
    trouble, alarm = trouble.served(STEADY_S - 1)
    assert alarm is None
    trouble, alarm = trouble.served(STEADY_S)
    assert alarm == Alarm("info", "up", "serves again after 3 failures")
    assert trouble == Trouble()


def test_a_model_that_is_too_large_for_its_bound_is_replaced_ever_more_seldom() -> None:
    relief, pauses = Relief(), []
    for _ in range(9):
        relief = relief.tried(now_s=100.0, served_s=relief.due_s - 100.0, chance=1.0)
        pauses.append(relief.due_s - 100.0)
    assert pauses == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    # One that served for a day in between begins anew.
    assert relief.tried(now_s=100.0, served_s=86400.0, chance=1.0) == Relief(1, 160.0)


def test_a_burst_is_allowed_and_a_flood_is_not() -> None:
    allowance = Allowance(burst=3, per_s=1)
    assert [allowance.takes(100.0) for _ in range(4)] == [True, True, True, False]
    allowance = Allowance(burst=3, per_s=1)
    assert all(allowance.takes(100.0 + second) for second in range(1000))
