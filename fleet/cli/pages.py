"""Reads lists of the API page by page."""

from __future__ import annotations

from urllib.parse import urlencode

from fleet.cli.client import ApiClient
from fleet.views import DeviceSummary

PAGE = 500


def every_device(api: ApiClient, query: str = "") -> tuple[DeviceSummary, ...]:
    """Return all devices, or those that a query means."""
    found: list[DeviceSummary] = []
    wanted = {"query": query} if query else {}
    while True:
        after = {"after": found[-1].id} if found else {}
        page = api.get(f"devices?{urlencode({'limit': PAGE, **after, **wanted})}", tuple[DeviceSummary, ...])
        found += page
        if len(page) < PAGE:
            return tuple(found)
