"""How waves, states and plans read."""

from __future__ import annotations

from contracts.codec import sha256_of
from contracts.messages import ReleaseRef
from fleet.dashboard.wave_words import bar_of, reason, strategy
from fleet.dashboard.words import duration
from fleet.views.rollouts import RolloutView, WaveView
from tests.sim.fleet_reader import MovingFleet

REF = ReleaseRef(model="digits", release=2, manifest_sha256=sha256_of(b"digits 2"))
WAVE = WaveView(wave=1, size="10%", devices=20, offered=15, settled=9, is_open=True, committed=5, lost=2, missing=1, awaited=2)


def view(**changes: object) -> RolloutView:
    return MovingFleet(8).rollout(2).model_copy(update=changes)


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
    assert [bar_of(done, view()).word, bar_of(shut, view()).word, bar_of(shut, ended).word] == ["done", "not open yet", "never opened"]


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
