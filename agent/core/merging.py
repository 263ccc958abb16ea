"""Decides which windows that wait for the link become one, and what the one says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from agent.core.drawers import Letter
from contracts import codec
from contracts.errors import ContractError
from contracts.messages import MAX_CLASSES, MAX_MESSAGE_BYTES, OTHER_CLASSES, InferenceWindow, latency_of
from contracts.shadow import joined_part
from contracts.sketches import Sketch, merged

# Coarser than this, a window says too little about any time of the day.
MAX_SPAN_S = 3600.0


def halved(letters: Iterable[Letter]) -> list[Letter]:
    """Merge each window with the next one of its model where they follow each other; all else stays as it is, and in order."""
    kept: dict[int, Letter] = {}
    alone: dict[str, tuple[int, InferenceWindow]] = {}
    for place, letter in enumerate(letters):
        kept[place] = letter
        window = _window_of(letter)
        if window is None:
            continue
        before = alone.pop(window.release.model, None)
        one = None if before is None else joined(before[1], window)
        if before is None or one is None:
            alone[window.release.model] = (place, window)
        else:
            del kept[before[0]]
            kept[place] = Letter(letter.leaf, codec.encode(one))
    return [kept[place] for place in sorted(kept)]


def joined(older: InferenceWindow, newer: InferenceWindow) -> InferenceWindow | None:
    """Return the one window of two that follow each other, or None when they do not or it would be too coarse."""
    if not _follow_each_other(older, newer) or older.latencies is None or newer.latencies is None:
        return None
    requests = older.requests + newer.requests
    latencies = merged((older.latencies, newer.latencies))
    mean_ms = (older.latency_ms.mean * older.requests + newer.latency_ms.mean * newer.requests) / max(requests, 1)
    return newer.model_copy(
        update={
            "started_at": older.started_at,
            "window_s": older.window_s + newer.window_s,
            "requests": requests,
            "errors": older.errors + newer.errors,
            "latency_ms": latency_of(latencies, mean_ms, max(older.latency_ms.max, newer.latency_ms.max)),
            "classes": _sum_of(older.classes, newer.classes),
            "latencies": latencies,
            "confidences": _both(older.confidences, newer.confidences),
            "shadow": joined_part(older.shadow, newer.shadow),
            "parts": (older.parts or 1) + (newer.parts or 1),
        }
    )


def parts_of(letter: Letter) -> int:
    """Return of how many of the worker's windows a letter tells."""
    window = _window_of(letter)
    return 1 if window is None else window.parts or 1


def _follow_each_other(older: InferenceWindow, newer: InferenceWindow) -> bool:
    if older.ordinal is None or newer.ordinal is None or older.window_s + newer.window_s > MAX_SPAN_S:
        return False
    is_same = (older.session, older.release, older.provider) == (newer.session, newer.release, newer.provider)
    return is_same and newer.ordinal - (newer.parts or 1) == older.ordinal


def _window_of(letter: Letter) -> InferenceWindow | None:
    if not letter.is_window:
        return None
    try:
        return codec.decode(InferenceWindow, letter.payload, name="window", max_bytes=MAX_MESSAGE_BYTES)
    except ContractError:
        return None  # an older agent's, in a form of its own: it is sent as it is


def _both(older: Sketch | None, newer: Sketch | None) -> Sketch | None:
    return merged((older, newer)) if older is not None and newer is not None else older or newer


def _sum_of(older: dict[str, int], newer: dict[str, int]) -> dict[str, int]:
    total = Counter(older) + Counter(newer)
    named = dict(total.most_common(MAX_CLASSES))
    rest = sum(total.values()) - sum(named.values())
    return {**named, OTHER_CLASSES: named.get(OTHER_CLASSES, 0) + rest} if rest else named
