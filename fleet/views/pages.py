"""The one shape of every list that may grow: some items, and the way to the next ones."""

from __future__ import annotations

from typing import Generic, TypeVar

from pydantic import BaseModel

# Items of one page at most.
MAX_LIMIT = 1000

Item = TypeVar("Item")


class Page(BaseModel, Generic[Item], frozen=True):
    """A page of a list."""

    items: tuple[Item, ...]
    # What `cursor` is to be for the next page; None on the last one.
    next: str | None
