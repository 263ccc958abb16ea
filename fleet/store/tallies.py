"""Keeps which numbers of each session came, so that what was lost on the way is known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeAlias

from sqlalchemy import Connection, Row, or_, select

from contracts.messages import InferenceWindow
from fleet.core.freshness import Heard
from fleet.core.tally import Span, Tally, after, gaps_from_text, gaps_to_text, is_new
from fleet.store import bulk_rows
from fleet.store.tables import tallies
from fleet.store.times import micros
from fleet.views.device_details import Gap

# Device, session, and the model whose windows are counted; none for all messages.
Key = tuple[str, str, str]
# A `Heard` of one kind.
HeardWindow: TypeAlias = tuple[str, str, InferenceWindow, datetime]
MAX_GAPS_SHOWN = 20


def take_note(connection: Connection, batch: Sequence[Heard], windows: Sequence[HeardWindow]) -> set[str]:
    """Count what came, and the windows of it by their own numbers; return the devices that said something for the first time."""
    heard_at = {device: received_at for device, _, _, received_at in batch}
    spans, merges = _spans_of(batch, windows)
    stored = _load(connection, spans)
    rows: list[bulk_rows.Row] = []
    spoke: set[str] = set()
    for key, came in spans.items():
        before = stored.get(key, Tally())
        told = after(before, came)
        if told == before:
            continue
        # Of windows that came before, the parts are accounted for.
        merged = sum(parts for sequence, parts in merges.get(key, {}).items() if is_new(before, sequence))
        if merged:
            told = replace(told, merged=told.merged + merged)
        rows.append((*key, told.newest, gaps_to_text(told.missing), told.forgotten, told.merged, micros(heard_at[key[0]])))
        spoke.add(key[0])
    bulk_rows.bulk_rows(connection).put(connection, tallies, rows)
    return spoke


def gaps_of(connection: Connection, device: str) -> tuple[Gap, ...]:
    """Return the newest sessions of a device in which something is missing."""
    query = select(tallies).where(tallies.c.device == device, or_(tallies.c.missing != "", tallies.c.forgotten > 0))
    found = connection.execute(query.order_by(tallies.c.heard_at.desc(), tallies.c.model))
    gaps = (
        Gap(session=row.session, model=row.model or None, newest=row.newest, lost=_tally_of(row).lost, missing=row.missing, at=row.heard_at)
        for row in found
    )
    return tuple(gap for gap in gaps if gap.lost)[:MAX_GAPS_SHOWN]


def _spans_of(batch: Iterable[Heard], windows: Iterable[HeardWindow]) -> tuple[dict[Key, list[Span]], dict[Key, dict[int, int]]]:
    """Return which numbers came by session, and how many more each stands for."""
    spans: defaultdict[Key, list[Span]] = defaultdict(list)
    merges: defaultdict[Key, dict[int, int]] = defaultdict(dict)
    for device, _, message, _ in batch:
        sequence = message.sequence
        _add(spans[device, message.session, ""], sequence, sequence)
    for device, _, window, _ in windows:
        ordinal, parts = window.ordinal, window.parts or 1
        if ordinal:
            _add(spans[device, window.session, window.release.model], ordinal - parts + 1, ordinal)
        if parts > 1:
            merges[device, window.session, ""][window.sequence] = parts - 1
    return spans, merges


def _add(came: list[Span], first: int, last: int) -> None:
    """Add a span; one that follows the last makes it longer."""
    if came and came[-1][1] + 1 == first:
        came[-1] = (came[-1][0], last)
    else:
        came.append((first, last))


def _load(connection: Connection, keys: Iterable[Key]) -> dict[Key, Tally]:
    sessions = list(dict.fromkeys((device, session) for device, session, _ in keys))
    told = tallies.c
    columns = (told.device, told.session, told.model, told.newest, told.missing, told.forgotten, told.merged)
    found = bulk_rows.bulk_rows(connection).pick(connection, columns, (told.device, told.session), sessions)
    return {
        (device, session, model): Tally(newest, gaps_from_text(missing), forgotten, merged)
        for device, session, model, newest, missing, forgotten, merged in found
    }


def _tally_of(row: Row[tuple[object, ...]]) -> Tally:
    return Tally(row.newest, gaps_from_text(row.missing), row.forgotten, row.merged)
