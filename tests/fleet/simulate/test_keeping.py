"""What a played device says again, and how little room it has for that."""

from __future__ import annotations

from fleet.simulate.device import NEVER, Say
from fleet.simulate.keeping import FIRST_S, LONGEST_S, MAX_BYTES, Kept


def say(number: int, size: int = 100) -> Say:
    return Say("event", f"{number:0{size}d}".encode(), 1, False)


def test_what_nobody_took_is_tried_one_by_one_and_all_at_once_when_somebody_does() -> None:
    kept = Kept()
    kept.put([say(2), say(3)])
    kept.put([say(1)], first=True)
    kept.refuse(100.0, 1.0)
    assert kept.is_silent
    assert (kept.attempt(), kept.again_s) == ([say(1)], NEVER)
    kept.absences = 0
    assert kept.attempt() == [say(2), say(3)]
    assert kept.size == 0


def test_each_silence_is_longer_up_to_a_bound() -> None:
    kept, pauses = Kept(), []
    kept.put([say(1)])
    for _ in range(10):
        kept.refuse(100.0, 1.0)
        pauses.append(kept.again_s - 100.0)
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (FIRST_S, LONGEST_S)


def test_the_oldest_is_given_up_and_counted_when_there_is_no_room() -> None:
    kept = Kept()
    given_up = sum(kept.put([say(number)]) for number in range(100))
    assert kept.says[-1] == say(99)
    assert given_up + len(kept.says) == 100
    assert MAX_BYTES - 100 < kept.size <= MAX_BYTES
    # One that is larger than all the room leaves the device as able to speak as before
    assert kept.put([say(1, MAX_BYTES + 1)]) > 0
    kept.refuse(100.0, 1.0)
    kept.attempt()
    assert not kept.is_silent
