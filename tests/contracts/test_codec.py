"""Documents have one byte form, and a wrong one is named by its field."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from contracts import codec
from contracts.errors import InvalidDocumentError, TooLargeError


class Point(BaseModel, frozen=True, extra="forbid"):
    x: int
    name: str = Field(min_length=1, pattern="^[a-z]+$")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_the_order_of_keys_does_not_change_the_bytes(value: dict[str, object]) -> None:
    assert codec.canonical(value) == codec.canonical(dict(reversed(value.items())))


def test_canonical_json_has_no_spaces_and_keeps_unicode() -> None:
    assert codec.canonical({"b": 1, "a": "é"}) == '{"a":"é","b":1}'.encode()


def test_numbers_that_json_lacks_are_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        codec.canonical({"x": float("nan")})


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b'{"x": 1}', "point.json: name: expected a value, found nothing"),
        (b'{"x": "one", "name": "a"}', "point.json: x: expected a valid integer"),
        (b'{"x": 1, "name": "a", "y": 2}', "point.json: y: expected no such field, found 2"),
        (b'{"x": 1, "name": "A"}', "point.json: name: expected text that matches '^[a-z]+$', found 'A'"),
        (b'{"x": 1, "name": ""}', "point.json: name: expected at least 1 character, found ''"),
        (b"{", "point.json: document: expected valid JSON"),
    ],
)
def test_a_wrong_document_is_named_by_its_first_wrong_field(raw: bytes, message: str) -> None:
    with pytest.raises(InvalidDocumentError) as caught:
        codec.decode(Point, raw, name="point.json", max_bytes=100)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_document_past_its_bound_is_not_even_parsed() -> None:
    with pytest.raises(TooLargeError, match="expected at most 5 bytes, found 6"):
        codec.decode(Point, b"{     ", name="point.json", max_bytes=5)


def test_a_stream_has_the_digest_of_its_bytes() -> None:
    raw = bytes(range(256)) * 5000
    assert codec.sha256_of_stream(io.BytesIO(raw)) == codec.sha256_of(raw)
