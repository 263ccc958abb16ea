"""Files are cut into 256 KiB chunks, and a bitmap says which are wanted."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.chunks import CHUNK_BYTES, Bitmap, chunk_count, chunk_digests, chunk_length
from contracts.codec import sha256_of
from contracts.errors import InvalidDocumentError


@pytest.mark.parametrize(("size", "count"), [(0, 1), (1, 1), (CHUNK_BYTES, 1), (CHUNK_BYTES + 1, 2), (10 * CHUNK_BYTES, 10)])
def test_a_file_has_as_many_chunks_as_its_size_needs(size: int, count: int) -> None:
    assert chunk_count(size) == count
    assert len(chunk_digests(bytes(size))) == count
    assert sum(chunk_length(size, index) for index in range(count)) == size


def test_each_chunk_is_named_by_its_own_digest() -> None:
    raw = bytes(CHUNK_BYTES) + b"tail"
    assert chunk_digests(raw) == (sha256_of(bytes(CHUNK_BYTES)), sha256_of(b"tail"))


@given(st.integers(1, 300).flatmap(lambda count: st.tuples(st.just(count), st.sets(st.integers(0, count - 1)))))
def test_a_bitmap_survives_the_wire(case: tuple[int, set[int]]) -> None:
    count, indexes = case
    bitmap = Bitmap.from_hex(count, Bitmap.of(count, indexes).to_hex())
    assert set(bitmap) == indexes
    assert len(bitmap) == len(indexes)
    assert all((index in bitmap) == (index in indexes) for index in range(count))


@given(st.integers(1, 300))
def test_a_full_bitmap_is_empty_after_every_chunk_came(count: int) -> None:
    bitmap = Bitmap.full(count)
    for index in range(count):
        bitmap = bitmap.without(index)
    assert len(bitmap) == 0


@given(st.integers(1, 100), st.text(max_size=40))
def test_any_text_is_a_bitmap_or_is_refused_by_name(count: int, text: str) -> None:
    with contextlib.suppress(InvalidDocumentError):
        assert all(index < count for index in Bitmap.from_hex(count, text))


def test_a_chunk_outside_the_file_is_no_member() -> None:
    with pytest.raises(ValueError, match="chunk 3 of 3"):
        Bitmap.of(3, [3])
