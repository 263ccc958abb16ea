"""How long a device is silent while nobody takes what it says."""

from __future__ import annotations

from agent.core.audience import FIRST_S, LONGEST_S, Audience


def test_a_device_is_silent_for_longer_each_time_that_nobody_takes_what_it_says_up_to_a_bound() -> None:
    audience, now_s, silences = Audience(), 1000.0, list[float]()
    for _ in range(12):
        audience = audience.after(is_taken=False, now_s=now_s, chance=1.0)
        silences.append(audience.silence_s(now_s))
        now_s += silences[-1]
        assert audience.silence_s(now_s) == 0.0
    assert silences[:3] == [FIRST_S, 2 * FIRST_S, 4 * FIRST_S]
    assert silences[-1] == LONGEST_S
    assert silences == sorted(silences)


def test_a_fleet_is_spread_over_half_of_each_silence() -> None:
    audience = Audience(absences=9)
    assert audience.after(False, 0.0, 0.0).silence_s(0.0) == LONGEST_S / 2
    assert audience.after(False, 0.0, 1.0).silence_s(0.0) == LONGEST_S


def test_whoever_is_heard_speaks_on_at_once() -> None:
    audience = Audience().after(False, 0.0, 1.0).after(True, 5.0, 1.0)
    assert audience == Audience()
    assert audience.silence_s(5.0) == 0.0
