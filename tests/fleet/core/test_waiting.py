"""Who is fed next, and by what publication."""

from __future__ import annotations

from fleet.core.waiting import FORGET_AFTER_S, GATHER_S, HOLD_S, LEAVES_AFTER_S, LONGEST_GATHER_S, Publication, Request, WaitingRoom

OPEN = GATHER_S


def want(device: str, digest: str, *indexes: int, window: int = 8, round_number: int | None = 1) -> Request:
    """Return a want for some chunks."""
    number = None if round_number is None else ("session", round_number)
    return Request(device, digest, number, sum(1 << index for index in indexes), window)


def indexes(publications: tuple[Publication, ...]) -> list[int]:
    return [publication.index for publication in publications]


def test_one_publication_serves_all_who_wait() -> None:
    room = WaitingRoom()
    room.hear(want("a", "f", 0, 1), 0)
    room.hear(want("b", "f", 0, 1), 0)
    assert room.due(OPEN, 10) == (Publication("f", 0), Publication("f", 1))
    assert room.due(OPEN, 10) == ()


def test_the_first_want_waits_a_moment_for_company() -> None:
    room = WaitingRoom()
    room.hear(want("a", "f", 0), 0)
    assert room.next_in_s(0) == GATHER_S
    assert room.due(GATHER_S / 2, 10) == ()
    assert indexes(room.due(OPEN, 10)) == [0]
    assert room.next_in_s(OPEN) is None


def test_company_that_keeps_coming_is_waited_for_but_not_for_ever() -> None:
    room = WaitingRoom()
    now_s = 0.0
    for number in range(100):
        room.hear(want(f"pi-{number}", "f", 0), now_s)
        now_s += GATHER_S / 2
        if now_s < LONGEST_GATHER_S:
            assert room.due(now_s, 10) == ()
    assert room.due(LONGEST_GATHER_S, 10) == (Publication("f", 0),)


def test_what_only_some_lack_goes_to_them_alone() -> None:
    room = WaitingRoom()
    room.hear(want("a", "f", 2, 3), 0)
    room.hear(want("b", "f", 1, 2, 3), 0)
    # Not on the topic that both hear: to one of them it would come twice
    found = room.due(OPEN, 10)
    assert set(found) == {Publication("f", 1, "b"), Publication("f", 2), Publication("f", 3)}


def test_one_who_joins_late_gets_what_it_missed_and_shares_the_rest() -> None:
    room = WaitingRoom()
    room.hear(want("a", "f", *range(10), window=4), 0)
    assert indexes(room.due(OPEN, 10)) == [0, 1, 2, 3]
    room.hear(want("b", "f", *range(10), window=20), 1)
    room.hear(want("a", "f", *range(4, 10), window=20), 1)
    found = room.due(1, 100)
    assert {chunk.index for chunk in found if chunk.device == "b"} == {0, 1, 2, 3}
    assert {chunk.index for chunk in found if chunk.device is None} == set(range(4, 10))
    assert len(found) == 10


def test_nobody_gets_more_than_its_window() -> None:
    room = WaitingRoom()
    room.hear(want("a", "f", *range(100), window=4), 0)
    assert indexes(room.due(OPEN, 50)) == [0, 1, 2, 3]
    # Two came: two more may be under way
    room.hear(want("a", "f", *range(2, 100), window=4), 1)
    assert indexes(room.due(1, 50)) == [4, 5]


def test_what_is_under_way_is_sent_again_in_a_new_round_only() -> None:
    room = WaitingRoom()
    room.hear(want("a", "f", 0, 1), 0)
    room.due(OPEN, 10)
    room.hear(want("a", "f", 0, 1), 5)
    assert room.due(5, 10) == ()
    room.hear(want("a", "f", 1, round_number=2), 6)
    assert indexes(room.due(6, 10)) == [1]
    # What went out a moment before a round began may come with it; when it does not, it is sent after all
    room.hear(want("a", "f", 1, round_number=3), 6.1)
    assert room.due(6.1, 10) == ()
    assert room.next_in_s(6.1) == HOLD_S
    assert indexes(room.due(6.1 + HOLD_S, 10)) == [1]
    # An agent that names no round gets what it names
    room.hear(want("a", "f", 1, round_number=None), 7)
    assert indexes(room.due(7, 10)) == [1]


def test_files_take_turns_and_so_do_devices() -> None:
    room = WaitingRoom()
    room.hear(want("a", "f", *range(100), window=50), 0)
    room.hear(want("b", "g", *range(100), window=50), 0)
    found = room.due(OPEN, 10)
    assert [chunk.digest for chunk in found].count("f") == 5
    assert len(found) == 10


def test_batches_are_bounded_and_another_file_replaces_the_one_before() -> None:
    room = WaitingRoom()
    room.hear(want("a", "f", *range(100), window=50), 0)
    assert len(room.due(OPEN, 8)) == 8
    room.hear(want("a", "g", 0), 1)
    assert room.due(1 + GATHER_S, 8) == (Publication("g", 0),)


def test_who_fell_silent_is_forgotten_and_who_has_all_listens_no_more() -> None:
    room = WaitingRoom()
    room.hear(want("a", "f", 0), 0)
    room.hear(want("gone", "f", 0, 1, window=1), 0)
    room.due(OPEN, 10)
    later = OPEN + LEAVES_AFTER_S
    room.hear(want("b", "f", 0), later)
    room.hear(want("c", "f", 0), later)
    # `gone` has one chunk to come, so the others' are their own
    assert set(room.due(later, 10)) == {Publication("f", 0, "b"), Publication("f", 0, "c")}
    room.hear(want("d", "f", 0), FORGET_AFTER_S + 1)
    room.hear(want("e", "f", 0), FORGET_AFTER_S + 1)
    assert room.due(FORGET_AFTER_S + 1 + LEAVES_AFTER_S, 10) == (Publication("f", 0),)


def test_who_says_that_it_lacks_nothing_is_no_listener_any_more() -> None:
    room = WaitingRoom()
    room.hear(want("a", "f", 0), 0)
    room.due(OPEN, 10)
    room.hear(want("a", "f"), 1)
    room.hear(want("b", "f", 0), 1)
    room.hear(want("c", "f", 0), 1)
    assert room.due(1 + GATHER_S, 10) == (Publication("f", 0),)


def test_a_file_that_cannot_be_read_is_forgotten() -> None:
    room = WaitingRoom()
    room.hear(want("a", "f", 0), 0)
    room.forget("f")
    room.forget("f")
    assert room.due(OPEN, 10) == ()


def test_what_hardly_anybody_has_goes_to_all_again_and_what_several_have_to_each_who_lacks_it() -> None:
    # Given one device that has a chunk, when others join
    room = WaitingRoom()
    room.hear(Request("first", "f", ("s", 1), 0b11, 8), 0)
    assert room.due(OPEN, 1) == (Publication("f", 0),)
    for number in range(8):
        room.hear(Request(f"late-{number}", "f", ("s", 1), 0b11, 8), OPEN + HOLD_S)
    # Then one in nine hears it twice, and nobody else costs a publication of his own
    assert [each for each in room.due(OPEN + HOLD_S, 2) if each.index == 0] == [Publication("f", 0)]


def test_one_in_eight_is_not_few() -> None:
    room = WaitingRoom()
    room.hear(Request("first", "f", ("s", 1), 0b1, 8), 0)
    room.due(OPEN, 1)
    for number in range(7):
        room.hear(Request(f"late-{number}", "f", ("s", 1), 0b1, 8), OPEN + HOLD_S)

    published = room.due(OPEN + HOLD_S, 8)

    assert {each.device for each in published} == {f"late-{number}" for number in range(7)}
