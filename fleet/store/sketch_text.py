"""Reads the sketches of rows quickly: they were checked when they came."""

from __future__ import annotations

from collections import Counter
from itertools import accumulate

import msgspec

from contracts.sketches import Sketch
from fleet.core.summaries import EMPTY


class _Bins(msgspec.Struct, gc=False):
    steps: tuple[int, ...]
    counts: tuple[int, ...]


_decode = msgspec.json.Decoder(_Bins).decode


def sketch_of(text: str | None) -> Sketch:
    """Return a column's sketch; an empty one where there is none."""
    if text is None:
        return EMPTY
    found = _decode(text)
    return Sketch.model_construct(steps=found.steps, counts=found.counts)


def text_of(sketch: Sketch) -> str | None:
    """Write a sketch; nothing for an empty one."""
    return sketch.model_dump_json() if sketch.counts else None


def add_bins(bins: Counter[int], text: str | None) -> None:
    """Add a column's sketch to counts by bin."""
    if text is None:
        return
    found = _decode(text)
    for index, count in zip(accumulate(found.steps), found.counts, strict=True):
        bins[index] += count
