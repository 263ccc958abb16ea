"""How a source is judged, and what the fleet is told of it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from agent.core.alarm import Alarm
from agent.core.sight import Sight
from agent.core.source_watch import HANDOVER_S, LONGEST_RETRY_S, STEADY_S, SourceWatch, patience_s
from contracts.messages import SourceHealth, SourceState


def watch(frozen_s: float = 30.0) -> SourceWatch:
    return SourceWatch("/dev/video0", frozen_s, 0.0)


def state_of(watched: SourceWatch, now_s: float) -> SourceState:
    return watched.health(now_s).state


def show(watched: SourceWatch, from_s: float, to_s: float, *, is_same: bool = False) -> None:
    """Show ten pictures a second."""
    for tenth in range(round((to_s - from_s) * 10)):
        watched.saw(from_s + tenth / 10, is_same=is_same)


@pytest.mark.parametrize(("period_s", "expected_s"), [(0.02, 2.0), (0.2, 2.0), (1.0, 5.0), (60.0, 300.0)])
def test_a_source_may_miss_five_pictures_and_is_given_two_seconds(period_s: float, expected_s: float) -> None:
    assert patience_s(period_s) == expected_s


def test_pictures_make_a_source_live_and_are_counted() -> None:
    watched = watch()
    assert state_of(watched, 0.0) == "opening"

    show(watched, 0.0, 20.0)
    watched.dropped()

    health = watched.health(20.0)
    assert (health.state, health.frames, health.dropped) == ("live", 200, 1)
    assert health.frames_per_s == pytest.approx(10.0, abs=0.5)


def test_a_camera_that_the_worker_before_still_holds_is_no_news_until_it_takes_long() -> None:
    watched = watch()

    watched.failed("busy", HANDOVER_S - 1, 0.5)
    assert state_of(watched, HANDOVER_S - 1) == "opening"

    watched.failed("busy", HANDOVER_S, 0.5)
    assert watched.health(HANDOVER_S).state == "stopped"
    assert watched.health(HANDOVER_S).reason == "busy"


def test_a_source_that_was_seen_has_stopped_at_once_and_waits_grow_to_a_bound() -> None:
    watched = watch()
    show(watched, 0.0, 1.0)

    waits_s = [watched.failed("no frame in 2 s", 3.0 + number, 1.0) for number in range(12)]

    assert state_of(watched, 3.0) == "stopped"
    assert watched.health(20.0).frames_per_s == 0.0
    assert waits_s == sorted(waits_s)
    assert (waits_s[0], waits_s[-1]) == (0.5, LONGEST_RETRY_S)


def test_a_source_that_comes_and_goes_is_believed_once_it_stays() -> None:
    watched = watch()
    for second in range(3):
        watched.failed("gone", float(second), 0.5)
        show(watched, second + 0.5, second + 0.7)
    watched.failed("gone", 10.0, 0.5)

    show(watched, 10.0, 10.0 + STEADY_S - 1)
    assert state_of(watched, 19.0) == "stopped"

    show(watched, 19.0, 11.0 + STEADY_S)
    assert state_of(watched, 21.0) == "live"
    assert watched.failed("gone", 22.0, 1.0) == 0.5


def test_the_same_picture_for_long_is_frozen_until_another_one_comes() -> None:
    watched = watch(frozen_s=30.0)
    watched.saw(0.0, is_same=False)

    show(watched, 0.1, 29.0, is_same=True)
    assert state_of(watched, 29.0) == "live"
    show(watched, 29.0, 31.0, is_same=True)
    assert state_of(watched, 31.0) == "frozen"
    assert watched.health(31.0).reason == "the picture has not changed in 31 s"

    watched.saw(31.1, is_same=False)
    assert watched.health(31.1).state == "live"
    assert watched.health(31.1).reason == ""


def test_a_source_may_be_told_never_to_count_as_frozen() -> None:
    watched = watch(frozen_s=0.0)

    show(watched, 0.0, 600.0, is_same=True)

    assert state_of(watched, 600.0) == "live"


def test_a_folder_without_new_pictures_is_well() -> None:
    watched = watch()

    for second in range(100):
        watched.answered(float(second))

    assert watched.health(100.0).state == "live"
    assert watched.health(100.0).frames_per_s == 0.0


def test_results_that_cannot_be_written_are_told_beside_the_pictures() -> None:
    watched = watch()
    show(watched, 0.0, 1.0)

    watched.trouble = "results are not written: disk full"

    assert watched.health(1.0).state == "live"
    assert watched.health(1.0).reason == "results are not written: disk full"


def told(states: Sequence[SourceState | None]) -> list[Alarm]:
    """Return what the fleet hears of one pulse after the other."""
    sight, alarms = Sight(), list[Alarm]()
    for state in states:
        sight, alarm = sight.seen(None if state is None else SourceHealth(state=state, source="/dev/video0", reason="why"))
        alarms += [alarm] if alarm else []
    return alarms


def test_a_camera_that_stops_is_told_once_and_once_more_when_it_is_back() -> None:
    alarms = told(["opening", "live", "stopped", "stopped", "live", "live"])

    assert [(alarm.severity, alarm.state) for alarm in alarms] == [("error", "blind"), ("info", "sees")]
    assert alarms[0].text == "has lost its pictures: /dev/video0: why"


def test_a_worker_that_is_replaced_while_its_camera_is_away_does_not_tell_it_again() -> None:
    assert [alarm.state for alarm in told(["stopped", None, "opening", "stopped", "opening", "live"])] == ["blind", "sees"]


def test_a_picture_that_stands_still_is_a_warning_and_its_loss_an_error() -> None:
    assert [alarm.severity for alarm in told(["live", "frozen", "stopped", "frozen", "live"])] == ["warning", "error", "warning", "info"]
