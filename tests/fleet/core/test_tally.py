"""What never came, told from the numbers of what did."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from fleet.core.tally import MAX_GAPS, Tally, after, gaps_from_text, gaps_to_text, is_new

NUMBERS = st.lists(st.lists(st.integers(1, 60), max_size=12), max_size=8)


@given(NUMBERS)
def test_what_is_missing_is_what_did_not_come_up_to_the_newest_in_whatever_order_and_however_often(batches: list[list[int]]) -> None:
    tally = Tally()
    came: set[int] = set()
    for batch in batches:
        tally = after(tally, [(number, number) for number in batch])
        came |= set(batch)
        assert tally.lost == max(came, default=0) - len(came)
        assert {number for number in range(1, 70) if not is_new(tally, number)} == came
    assert gaps_from_text(gaps_to_text(tally.missing)) == tally.missing


def test_many_gaps_are_counted_although_only_the_newest_are_known_one_by_one() -> None:
    tally = after(Tally(), [(2 * number, 2 * number) for number in range(1, 2 * MAX_GAPS + 1)])

    assert len(tally.missing) == MAX_GAPS
    assert tally.lost == 2 * MAX_GAPS


def test_a_merged_window_stands_for_those_that_were_never_sent() -> None:
    assert after(Tally(), [(1, 1), (2, 5)]).lost == 0
    assert replace(after(Tally(), [(1, 1), (5, 5)]), merged=3).lost == 0
