"""How waves, states and plans read."""

from __future__ import annotations

from contracts.codec import sha256_of
from contracts.messages import ReleaseRef
from fleet.dashboard.wave_words import bar_of, reason, strategy
from fleet.dashboard.words import duration
from fleet.views.rollouts import PlanView, RolloutView, WaveView
from tests.sim.fleet_reader import MovingFleet

REF = ReleaseRef(model="digits", release=2, manifest_sha256=sha256_of(b"digits 2"))
WAVE = WaveView(wave=1, size="10%", devices=20, offered=15, settled=9, is_open=True, committed=5, lost=2, missing=1, awaited=2)


def view(**changes: object) -> RolloutView:
    return MovingFleet(8).rollout(2).model_copy(update=changes)


def plan(**changes: object) -> PlanView:
    durations = {"latency_ratio": 1.2, "soak_s": 0, "patience_s": 60, "deadline_s": 60, "contact_s": 60, "hold_s": 0}
    choices = {"approval": False, "newcomers": False, "take_back": False, "window": "", "zone": "UTC", "rate_per_min": None}
    unsure: dict[str, object] = {"limits": {}, "sure_to_stop": None, "sure_to_pass": None}
    return PlanView.model_validate({**durations, **choices, **unsure, **changes})


def test_the_parts_of_a_bar_are_all_its_devices() -> None:
    bar = bar_of(WAVE, view())
    assert sum(count for _, count, _ in bar.parts) == 20
    expected = (
        "5 committed, 2 failed, 4 on the way, 2 waiting for contact, 1 given up waiting for, 1 left out or withdrawn, 5 not offered yet"
    )
    assert bar.text == expected
    assert (bar.title, bar.word) == ("Wave 1 · up to 10% · 20 devices", "open")


def test_a_wave_says_whether_it_is_done_or_never_came() -> None:
    done = WAVE.model_copy(update={"settled": 20, "committed": 20, "lost": 0, "missing": 0, "awaited": 0, "offered": 20})
    shut = WaveView(wave=2, size="100%", devices=80, offered=0, settled=0, is_open=False)
    ended = view(ended_at=view().started_at)
    words = [bar_of(wave, of).word for wave, of in ((done, view(wave=2)), (shut, view()), (shut, ended))]
    assert words == ["done", "not open yet", "never opened"]


def test_a_wave_whose_last_device_has_an_outcome_is_watched_until_the_next_one_opens() -> None:
    done = WAVE.model_copy(update={"settled": 20, "committed": 20, "lost": 0, "missing": 0, "awaited": 0, "offered": 20})
    stands = [view(wave=1, state="running", ended_at=None), view(wave=1, state="paused", ended_at=None), view(wave=2, state="running")]
    stands.append(view(wave=1, state="failed", ended_at=None))
    assert [bar_of(done, stand).word for stand in stands] == ["being watched", "being watched", "done", "done"]


def test_devices_in_shadow_are_told_apart_from_those_on_the_way() -> None:
    wave = WaveView(wave=1, size="10%", devices=20, offered=20, settled=2, is_open=True, lost=2, in_shadow=15)
    bar = bar_of(wave, view())
    assert bar.text == "2 failed, 15 in shadow, 3 on the way"
    assert [(phase, count) for phase, count, _ in bar.parts] == [("failed", 2), ("shadow", 15), ("probation", 3)]


def test_a_rollout_that_nothing_could_stop_was_not_stopped() -> None:
    free, bound = plan(threshold=None), plan(threshold="5%")
    ended = {"state": "failed", "state_reason": "12 rolled back", "ended_at": view().started_at}
    assert reason(view(plan=free, **ended)) == "It went to its end, and some devices do not have it. 12 rolled back."
    assert reason(view(plan=bound, **ended)) == "It was stopped. 12 rolled back."


def test_a_rollback_does_not_read_as_if_it_brought_its_release() -> None:
    told = [view(release=REF, kind=kind, origin=None if kind == "start" else 7) for kind in ("start", "rollback", "retry")]
    start, back, again = [(one.what, one.whom) for one in told]
    assert start == ("digits 2", f"to {view().query}")
    assert back == ("back from digits 2", "on the devices of rollout 7")
    assert again == ("digits 2 again", "to those that rollout 7 lost")


def test_a_state_is_told_in_words_with_its_reason() -> None:
    assert reason(view(state="paused", state_reason="by ola")) == "Nobody else is offered it until it is resumed. By ola."
    stopped = reason(view(state="failed", state_reason="errors 9 %", ended_at=None))
    assert stopped == "It was stopped. Errors 9 %. Its last devices are still followed."


def test_a_strategy_of_a_later_release_keeps_its_name() -> None:
    assert strategy("side-by-side") == "side by side"


def test_lengths_of_time_are_written_in_a_unit_that_suits() -> None:
    assert [duration(seconds) for seconds in (40, 90, 1800, 3600, 5400, 86400, 200_000)] == [
        *("40 s", "90 s", "30 min", "1 h", "90 min", "1 d", "2.3 d"),
    ]
