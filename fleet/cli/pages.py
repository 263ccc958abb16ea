"""Reads lists of the API page by page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar
from urllib.parse import urlencode

from pydantic import BaseModel

from fleet.cli.client import ApiClient
from fleet.errors.lists import EndlessListError
from fleet.views.devices import DeviceSummary
from fleet.views.pages import MAX_LIMIT, Page

# A million items: a fleet is not larger, and no server keeps us here for ever.
MAX_PAGES = 1000

Item = TypeVar("Item", bound=BaseModel)
Wanted = Mapping[str, str | int | Sequence[str]]


def every(api: ApiClient, path: str, kind: type[Item], wanted: Wanted | None = None, question: BaseModel | None = None) -> tuple[Item, ...]:
    """Return a list whole, of what a question asks where it takes one; raise EndlessListError for one that does not end."""
    found: list[Item] = []
    following: dict[str, str] = {}
    for _ in range(MAX_PAGES):
        page = _page(api, path, kind, {"limit": MAX_LIMIT, **(wanted or {}), **following}, question)
        found += page.items
        if page.next is None:
            return tuple(found)
        following = {"cursor": page.next}
    raise EndlessListError(path, MAX_PAGES)


def first(api: ApiClient, path: str, kind: type[Item], limit: int, wanted: Wanted | None = None) -> tuple[Item, ...]:
    """Return the first items of a list."""
    return _page(api, path, kind, {**(wanted or {}), "limit": limit}).items


def every_device(api: ApiClient, query: str = "") -> tuple[DeviceSummary, ...]:
    """Return all devices, or those that a query means."""
    return every(api, "devices", DeviceSummary, {"query": query} if query else None)


def _page(api: ApiClient, path: str, kind: type[Item], wanted: Wanted, question: BaseModel | None = None) -> Page[Item]:
    where, page = f"{path}?{urlencode(wanted, doseq=True)}", Page[kind]  # type: ignore[valid-type]  # made for what it is to hold
    return api.get(where, page) if question is None else api.ask(where, question, page)
