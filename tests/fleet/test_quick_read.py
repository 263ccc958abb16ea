"""The quick reader never says yes where the contract says no, and never reads anything else."""

from __future__ import annotations

import copy
import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError, field_validator

from contracts import codec
from contracts.messages import UPLINK_MESSAGES, InferenceWindow, ReleaseRef, latency_of
from contracts.sketches import BINS, Sketch
from fleet.south.ingest import QUICK
from fleet.south.quick_read import QuickReader

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
SKETCH = Sketch.of({3: 1, 400: 5})
WINDOW = InferenceWindow(
    session="a" * 16, sequence=5, sent_at=NOW, release=ReleaseRef(model="digits", release=2, manifest_sha256="2" * 64), started_at=NOW,
    window_s=10, requests=6, errors=0, latency_ms=latency_of(SKETCH, 1, 9), classes={"7": 6}, provider="cpu", latencies=SKETCH,
    confidences=SKETCH, ordinal=4, parts=2,
)  # fmt: skip
DOCUMENT = json.loads(codec.encode(WINDOW))
READER = QuickReader(InferenceWindow)
ODD: tuple[Any, ...] = (
    None, True, -1, 0, 1, 1.0, 1.5, 2**63 - 1, 2**63, 2**64, 1e400, BINS - 1, BINS, "", "1", "a" * 16, "a" * 16 + "\n", "digits\n",
    "2026-01-01T12:00:00", "2026-01-01T12:00:00Z", "2026-01-01 12:00:00+23:59", "0001-01-01T00:00:00+23:00", 1_700_000_000,
    "2026-01-01T12:00:00.1234567Z", "\x00", "é", "\ud800", [], [1], [0, 0], [1, 2], {}, {"a": 1}, {"a": -1}, {"steps": [1], "counts": [0]},
)  # fmt: skip


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the path of everything in a document."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, part in inside for place in places(part, (*path, key)))]


def changed(path: tuple[str | int, ...], value: Any, *, is_left_out: bool) -> Any:
    """Return the document with one part replaced or left out."""
    if not path:
        return value
    document = copy.deepcopy(DOCUMENT)
    holder = document
    for key in path[:-1]:
        holder = holder[key]
    if is_left_out:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return document


def assert_same(quick: Any, thorough: Any) -> None:
    if isinstance(thorough, BaseModel):
        for name in type(thorough).model_fields:
            assert_same(getattr(quick, name), getattr(thorough, name))
    elif isinstance(thorough, datetime):
        assert abs(quick - thorough) <= timedelta(microseconds=1)  # they round a seventh digit differently
        assert quick.utcoffset() == thorough.utcoffset()
    else:
        assert quick == thorough
        assert type(quick) is type(thorough)


@given(st.sampled_from(places(DOCUMENT)), st.sampled_from(ODD), st.booleans())
@settings(max_examples=600, deadline=None)
def test_what_the_quick_reader_accepts_the_contract_accepts_with_the_same_values(path: tuple[str | int, ...], odd: Any, out: bool) -> None:
    # Given a reader that knows the names of the document as it was
    assert READER.read(json.dumps(DOCUMENT).encode()) is not None
    raw = json.dumps(changed(path, odd, is_left_out=out)).encode()
    quick = READER.read(raw)
    try:
        thorough = InferenceWindow.model_validate_json(raw)
    except ValidationError:
        assert quick is None
        return
    if quick is not None:
        assert_same(quick, thorough)


def test_what_agents_send_is_read_quickly() -> None:
    plain = WINDOW.model_copy(update={"latencies": None, "confidences": None, "ordinal": None, "parts": None, "classes": {}})

    for window in (WINDOW, plain):
        quick = READER.read(codec.encode(window))
        assert quick is not None
        assert_same(quick, window)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff\xfe", b'{"session": "\xff"}', codec.encode(WINDOW) + b"x"])
def test_what_is_no_json_is_left_to_the_contract(raw: bytes) -> None:
    assert READER.read(raw) is None


def test_every_kind_that_is_read_quickly_can_be() -> None:
    for leaf in QUICK:
        QuickReader(UPLINK_MESSAGES[leaf])


def test_a_model_that_msgspec_cannot_follow_is_refused_at_once() -> None:
    class Checked(BaseModel):
        name: str

        @field_validator("name")
        @classmethod
        def _check(cls, name: str) -> str:
            return name

    with pytest.raises(TypeError, match="Checked: expected bounds"):
        QuickReader(Checked)


@pytest.mark.parametrize("path", [("session",), ("release", "model"), ("release", "manifest_sha256")])
def test_names_that_were_right_in_their_places_are_not_right_in_others(path: tuple[str, ...]) -> None:
    # Given a reader that found each of these right, in its own place
    reader = QuickReader(InferenceWindow)
    for model in ("digits", "z" * 16):
        assert reader.read(json.dumps(changed(("release", "model"), model, is_left_out=False)).encode()) is not None
    # When one stands where it is none
    wrong = "z" * 16 if path != ("release", "model") else "2" * 63 + " "
    # Then the reader leaves it to the contract, again and again
    for _ in range(2):
        assert reader.read(json.dumps(changed(path, wrong, is_left_out=False)).encode()) is None
