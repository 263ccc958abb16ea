"""Where a page ends, and what a cursor may say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.pages import part_of, read_cursor, write_cursor
from fleet.errors.lists import CursorError


def pages_of(rows: list[int], limit: int) -> list[tuple[int, ...]]:
    """Walk through a list as a client does."""
    pages, cursor = [], None
    while True:
        key = read_cursor("rows", cursor, (int,))
        following = [row for row in rows if key is None or row > int(key[0])][: limit + 1]
        part = part_of(following, limit, lambda row: row, lambda row: (row,))
        pages.append(part.items)
        cursor = write_cursor("rows", part.last)
        if cursor is None:
            return pages


@given(st.sets(st.integers(0, 2**62), max_size=40).map(sorted), st.integers(1, 10))
def test_pages_hold_every_item_once_and_none_but_the_first_is_empty(rows: list[int], limit: int) -> None:
    pages = pages_of(rows, limit)

    assert [row for page in pages for row in page] == rows
    assert all(pages[1:])
    assert max(map(len, pages)) <= limit


@given(st.text(max_size=64).filter(lambda text: "\0" not in text), st.integers(-(2**63) + 1, 2**63 - 1))
def test_a_cursor_gives_back_its_key(name: str, number: int) -> None:
    cursor = write_cursor("names", (name, number))

    assert read_cursor("names", cursor, (str, int)) == (name, number)


@given(st.text(max_size=100) | st.binary(max_size=60).map(lambda raw: raw.decode("latin-1")))
def test_any_other_text_is_refused_by_name(text: str) -> None:
    with pytest.raises(CursorError, match="cursor: expected the `next` of another page of names"):
        read_cursor("names", text, (str, int))


@pytest.mark.parametrize("key", [("a",), (1, "a"), ("a", True), ("a", 2**63), ("a\0", 1), ("a", 1, 2)])
def test_a_key_of_other_kinds_is_refused(key: tuple[str | int, ...]) -> None:
    with pytest.raises(CursorError):
        read_cursor("names", write_cursor("names", key), (str, int))


def test_a_cursor_of_another_list_is_refused() -> None:
    with pytest.raises(CursorError):
        read_cursor("names", write_cursor("others", ("a", 1)), (str, int))
