"""Decides where a page of a list ends, and how the next one is asked for: by the key of the last item, never by a count of items."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from fleet.errors.lists import CursorError

# Texts and whole numbers, as they are compared.
Key = tuple[str | int, ...]
MAX_CURSOR_CHARS = 512
MAX_NUMBER = 2**63

Item = TypeVar("Item")
Row = TypeVar("Row")


@dataclass(frozen=True)
class Part(Generic[Item]):
    """A part of a list; `last` is the key of its last item, None when nothing follows."""

    items: tuple[Item, ...]
    last: Key | None


def part_of(rows: Sequence[Row], limit: int, item: Callable[[Row], Item], key: Callable[[Row], Key]) -> Part[Item]:
    """Return the first `limit` of some rows, of which one more was read to see whether there is one."""
    return Part(tuple(map(item, rows[:limit])), key(rows[limit - 1]) if len(rows) > limit else None)


def write_cursor(of: str, last: Key | None) -> str | None:
    """Return what leads to the items of a list that follow a key; `of` names the list."""
    if last is None:
        return None
    text = json.dumps([of, *last], separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(of: str, cursor: str | None, kinds: tuple[type[str] | type[int], ...]) -> Key | None:
    """Return the key that a cursor holds, None for none; raise CursorError for one that this list did not give."""
    if cursor is None:
        return None
    try:
        found = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise CursorError(of) from error
    if not isinstance(found, list) or found[:1] != [of] or not _are(found[1:], kinds):
        raise CursorError(of)
    return tuple(found[1:])


def _are(found: Sequence[object], kinds: Sequence[type[str] | type[int]]) -> bool:
    if [type(each) for each in found] != list(kinds):
        return False
    return all(abs(each) < MAX_NUMBER for each in found if isinstance(each, int)) and not any("\0" in str(each) for each in found)
