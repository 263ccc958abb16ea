"""Which version of a thing somebody saw: ETag tells it, If-Match names it (RFC 9110)."""

from __future__ import annotations

from typing import Annotated

from fastapi import Header, Response

# The whole ETag is `version.content`: an order is stale when the version is another one; that a device made progress meanwhile, which
# changes the content alone, makes no order stale.
Seen = Annotated[
    str | None,
    Header(
        alias="If-Match",
        pattern=r'^(\*|"[0-9a-z-]{1,64}(\.[0-9a-f]{1,64})?")$',
        description="The ETag under which the thing was seen; 412 when it is another one by now.",
    ),
]


def seen_version(seen: str | None) -> str | None:
    """Return the version that an If-Match names; None for any."""
    return None if seen in (None, "*") else str(seen).strip('"').partition(".")[0]


def tag(response: Response, version: str) -> None:
    """Tell an answer's version; what it contains is added on its way out."""
    response.headers["ETag"] = f'"{version}"'
