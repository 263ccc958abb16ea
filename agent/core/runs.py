"""Decides which missing chunks are asked for together by a source that serves ranges."""

from __future__ import annotations

from collections.abc import Iterator

from contracts.chunks import Bitmap

# 2 MiB: long enough for a range to be worth its request, short enough to be held in memory.
MAX_RUN_CHUNKS = 8


def first_run(missing: Bitmap) -> range:
    """Return the first chunks that lie side by side, at most MAX_RUN_CHUNKS; empty when nothing is missing."""
    indexes: Iterator[int] = iter(missing)
    start = next(indexes, None)
    if start is None:
        return range(0)
    stop = start + 1
    while stop - start < MAX_RUN_CHUNKS and stop < missing.count and stop in missing:
        stop += 1
    return range(start, stop)
