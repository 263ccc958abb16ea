"""Whose messages the server that leads takes in, and when it forgets whose they were."""

from __future__ import annotations

from fleet.core.inheritance import FORGET_S, QUIET_S, SILENT_S, TELL_S, Replica, is_settled, to_inherit
from fleet.south.mqtt import SESSION_EXPIRY_S


def test_those_that_are_silent_for_long_are_inherited_and_never_oneself() -> None:
    replicas = [Replica("own", 2 * SILENT_S), Replica("fresh", 0.9 * SILENT_S), Replica("gone", SILENT_S), Replica("ahead", -3.0)]

    assert to_inherit(replicas, "own") == {"gone"}
    assert to_inherit([], "own") == frozenset()


def test_one_late_word_is_no_silence() -> None:
    assert to_inherit([Replica("late", 2 * TELL_S)], "own") == frozenset()


def test_one_is_forgotten_once_it_stayed_away_for_long_and_nothing_waits_for_it() -> None:
    assert is_settled(Replica("gone", FORGET_S), QUIET_S)
    assert not is_settled(Replica("gone", FORGET_S), 0.9 * QUIET_S)
    assert not is_settled(Replica("gone", 0.9 * FORGET_S), 10 * QUIET_S)


def test_no_broker_remembers_a_session_of_one_that_is_forgotten() -> None:
    assert FORGET_S > SESSION_EXPIRY_S
