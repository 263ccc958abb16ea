"""The query language: what it means, and what it says when it cannot be read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.targeting import Candidate, Query, Term, parse_query
from fleet.errors import QueryError

PI = Candidate("pi-1", "rpi5", {"site": "lyon"})

values = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
fields = st.one_of(st.sampled_from(["hw", "id"]), st.from_regex(r"label\.[a-z][a-z0-9_]{0,10}", fullmatch=True))
queries = st.builds(Query, st.lists(st.builds(Term, fields, st.booleans(), values), max_size=5).map(tuple))


@pytest.mark.parametrize(
    ("query", "is_meant"),
    [
        ("all", True),
        ("hw = rpi5", True),
        ("hw=rpi5", True),
        ("hw != rpi5", False),
        ("id = pi-1", True),
        ('label.site = "lyon"', True),
        ("label.site != oslo", True),
        ("label.room != 5", True),
        ("label.room = 5", False),
        ('hw = rpi5 and label.site = "oslo"', False),
        ("  hw = rpi5   and  id != pi-2 ", True),
    ],
)
def test_a_query_means_the_devices_it_describes(query: str, is_meant: bool) -> None:
    assert parse_query(query).matches(PI) is is_meant


@pytest.mark.parametrize(
    ("query", "position", "expected"),
    [
        ("", 0, "all, hw, id or label.NAME"),
        ("colour = red", 0, "all, hw, id or label.NAME"),
        ("hw rpi5", 3, "= or !="),
        ("hw = ", 5, 'a value such as rpi5 or "lyon"'),
        ('label.site = "lyon', 13, 'a value such as rpi5 or "lyon"'),
        ("hw = rpi5 or id = a", 10, "and, or the end"),
        ("hw = rpi5 and", 13, "all, hw, id or label.NAME"),
        ("all and hw = rpi5", 4, "the end"),
        ("hw = rpi5; id = a", 9, "and, or the end"),
    ],
)
def test_what_is_wrong_with_a_query_is_said_with_its_position(query: str, position: int, expected: str) -> None:
    with pytest.raises(QueryError, match=f"position {position + 1}: expected {expected.replace('.', '[.]')}") as caught:
        parse_query(query)
    assert caught.value.position == position


@given(queries)
def test_a_query_reads_back_as_it_was_written(query: Query) -> None:
    assert parse_query(str(query)) == query


@given(st.text(max_size=60))
def test_any_text_is_a_query_or_one_clear_error(text: str) -> None:
    position = _position_of_the_error(text)

    assert position is None or 0 <= position <= len(text)


def _position_of_the_error(text: str) -> int | None:
    try:
        parse_query(text).matches(PI)
    except QueryError as error:
        return error.position
    return None


def test_a_query_of_unreasonable_length_is_refused() -> None:
    with pytest.raises(QueryError, match="at most 1000 characters"):
        parse_query(" and ".join(["hw = rpi5"] * 200))
