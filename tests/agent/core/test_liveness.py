"""When the watchdog is fed."""

from __future__ import annotations

from agent.control.promise import Promise
from agent.core.liveness import Duty, overdue


def test_a_loop_that_waits_for_something_to_do_owes_nothing() -> None:
    assert overdue([Duty("updater", None)], now_s=1e9, grace_s=0) == ()


def test_a_loop_that_is_late_by_more_than_the_grace_is_named() -> None:
    duties = [Duty("uplink", 100.0), Duty("health", 200.0)]
    assert overdue(duties, now_s=130.0, grace_s=30) == ()
    assert overdue(duties, now_s=130.1, grace_s=30) == ("uplink",)
    assert overdue(duties, now_s=230.1, grace_s=30) == ("uplink", "health")


def test_of_several_tasks_in_one_loop_the_first_that_is_due_counts_until_it_is_done() -> None:
    promise = Promise("uplink")
    with promise.within(1000):
        later = promise.duty.due_s
        with promise.within(10):
            assert promise.duty.due_s is not None
            assert later is not None
            assert promise.duty.due_s < later
        assert promise.duty.due_s == later
    assert promise.duty.due_s is None


def test_work_that_fails_is_done_too() -> None:
    promise = Promise("health")
    try:
        with promise.within(10):
            raise OSError
    except OSError:
        assert promise.duty.due_s is None
