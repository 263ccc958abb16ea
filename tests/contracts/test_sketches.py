"""A sketch says where the quantiles lie within one percent, adds up exactly, and stays small."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts import codec
from contracts.sketches import BINS, HIGHEST, LOWEST, RELATIVE_ERROR, Sketch, bin_of, merged

VALUES = st.lists(st.floats(LOWEST, HIGHEST), min_size=1, max_size=200)


def sketch_of(values: list[float]) -> Sketch:
    return Sketch.of(Counter(map(bin_of, values)))


@given(VALUES, st.floats(0, 1))
def test_a_quantile_is_within_one_percent_of_the_value_of_its_rank(values: list[float], share: float) -> None:
    rank = max(1, -int(-share * len(values) // 1))
    expected = sorted(values)[rank - 1]
    assert sketch_of(values).quantile(share) == pytest.approx(expected, rel=RELATIVE_ERROR * 1.000001)


@given(VALUES, VALUES, VALUES)
def test_merging_gives_the_sketch_of_all_values_in_any_order(first: list[float], second: list[float], third: list[float]) -> None:
    whole = sketch_of([*first, *second, *third])
    parts = [sketch_of(first), sketch_of(second), sketch_of(third)]
    assert merged(parts) == whole
    assert merged([merged(parts[1:]), parts[0]]) == whole


@given(VALUES)
def test_its_document_is_read_as_it_was_written(values: list[float]) -> None:
    sketch = sketch_of(values)
    assert codec.decode(Sketch, codec.encode(sketch), name="sketch", max_bytes=1 << 16) == sketch


def test_its_form_is_frozen() -> None:
    assert codec.encode(sketch_of([1.0, 1.0, 1.5, 20.0, 0.0])) == b'{"counts":[1,2,1,1],"steps":[0,346,20,130]}'


def test_what_lies_outside_the_range_counts_as_its_bound_and_bins_are_bounded() -> None:
    sketch = sketch_of([-1.0, 0.0, 1e300])
    assert sketch.bins() == {0: 2, BINS - 1: 1}
    full = Sketch.of(dict.fromkeys(range(BINS), 10))
    assert len(codec.encode(full)) < 8192


def test_an_empty_one_has_no_quantile() -> None:
    with pytest.raises(ValueError, match="empty"):
        Sketch.of({}).quantile(0.5)
    assert merged([]) == Sketch.of({0: 0})


@pytest.mark.parametrize(
    "document",
    [
        {"steps": [1], "counts": []},
        {"steps": [1, 0], "counts": [1, 1]},
        {"steps": [BINS - 1, 1], "counts": [1, 1]},
        {"steps": [-1], "counts": [1]},
        {"steps": [1], "counts": [0]},
        {"steps": [0] + [1] * BINS, "counts": [1] * (BINS + 1)},
    ],
)
def test_a_document_that_no_sketch_writes_is_refused(document: dict[str, list[int]]) -> None:
    with pytest.raises(ValidationError):
        Sketch.model_validate_json(json.dumps(document))
