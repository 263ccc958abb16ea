"""What a device says again after a lost link."""

from __future__ import annotations

from agent.core.drawers import Letter
from agent.core.said import MAX_BYTES, Said
from contracts.messages import BROKER_SAVES_S, REPEAT_S


def letter(number: int, size: int = 10) -> Letter:
    return Letter("event", bytes([number]) * size)


def test_what_was_acknowledged_since_the_broker_may_have_saved_is_said_again_and_older_is_not() -> None:
    said = Said()
    old, new = letter(1), letter(2)
    said.add(old, 0.0)
    said.add(new, REPEAT_S)
    assert said.letters == [old, new]

    said.lose(REPEAT_S + 1)

    assert said.letters == [new]
    assert REPEAT_S >= 2 * BROKER_SAVES_S


def test_a_letter_that_was_said_again_counts_from_then_on() -> None:
    said = Said()
    one, two = letter(1), letter(2)
    said.add(one, 0.0)
    said.add(two, 1.0)

    said.add(one, REPEAT_S)
    said.lose(REPEAT_S + 2)

    assert said.letters == [one]


def test_memory_for_what_was_said_is_bounded() -> None:
    said = Said()
    for number in range(9):
        said.add(letter(number, MAX_BYTES // 4), float(number))

    assert [each.payload[0] for each in said.letters] == [5, 6, 7, 8]


def test_what_is_owed_is_kept_until_somebody_takes_it_however_long_that_is_and_through_every_loss() -> None:
    said = Said()
    one, two = letter(1), letter(2)
    said.add(one, 0.0)
    said.add(two, 1.0)
    assert said.first_owed() is None
    said.lose(2.0)
    assert said.first_owed() is one

    # Given that only the first is taken again before the link is lost once more, much later
    said.add(one, 5 * REPEAT_S)
    assert said.first_owed() is two
    said.lose(9 * REPEAT_S)

    # Then the second is owed still, and the first as well
    assert said.letters == [two, one]
    said.add(two, 10 * REPEAT_S)
    said.add(one, 10 * REPEAT_S)
    assert said.first_owed() is None
    said.forget(12 * REPEAT_S)
    assert said.letters == []


def test_what_is_owed_is_bounded_too() -> None:
    said = Said()
    for number in range(4):
        said.add(letter(number, MAX_BYTES // 4), 0.0)
    said.lose(0.0)
    said.add(letter(9, MAX_BYTES // 2), 0.0)
    assert [each.payload[0] for each in said.letters] == [2, 3, 9]
    assert said.first_owed() == letter(2, MAX_BYTES // 4)
