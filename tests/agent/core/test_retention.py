"""What stays on the disk beyond what the slots name."""

from __future__ import annotations

import pytest

from agent.core.retention import Held, Retention, Serving, surplus

OLD = tuple(Held(f"digits-{number}", "digits", number, 10) for number in (1, 2, 3))
SERVES_FIVE_BEFORE_FOUR = {"digits": Serving(5, has_previous=True)}


@pytest.mark.parametrize(("earlier", "kept"), [(1, set()), (2, {3}), (3, {3, 2}), (100, {3, 2, 1})])
def test_the_newest_of_the_earlier_releases_stay_and_the_previous_one_counts(earlier: int, kept: set[int]) -> None:
    gone = surplus(OLD, 20, SERVES_FIVE_BEFORE_FOUR, Retention(earlier))
    assert {held.release for held in OLD if held.digest not in gone} == kept


def test_without_a_previous_release_one_more_stays() -> None:
    assert surplus(OLD, 10, {"digits": Serving(5, has_previous=False)}, Retention(1)) == ("digits-2", "digits-1")


def test_a_release_that_was_found_wanting_does_not_stay() -> None:
    assert surplus((Held("bad", "digits", 6, 10),), 20, SERVES_FIVE_BEFORE_FOUR, Retention(100)) == ("bad",)


def test_a_model_of_which_nothing_is_known_keeps_its_newest_release() -> None:
    assert surplus(OLD, 0, {}, Retention(1)) == ("digits-2", "digits-1")


def test_too_many_bytes_take_the_release_that_is_furthest_behind_of_all_models() -> None:
    # Given two models of which three and one earlier releases would stay
    faces = Held("faces-8", "faces", 8, 25)
    serving = {**SERVES_FIVE_BEFORE_FOUR, "faces": Serving(9, has_previous=True)}
    # Then 60 bytes leave room for all but the two oldest, beside 20 that are named by slots
    assert surplus((*OLD, faces), 20, serving, Retention(4, max_bytes=60)) == ("digits-1", "digits-2")
    # And what a slot names is never asked to make room
    assert set(surplus((*OLD, faces), 20, serving, Retention(4, max_bytes=1))) == {"digits-1", "digits-2", "digits-3", "faces-8"}
