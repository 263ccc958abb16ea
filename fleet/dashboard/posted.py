"""Reads what a browser sends by a plain form, and no more of it than fits into the form's fields."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs

from starlette.requests import Request

# Characters; a longer password is as wrong as any other.
NAME_CHARS, PASSWORD_CHARS = 64, 1025
# Each character may take four bytes of three characters.
CHAR_BYTES = 12
# Names of fields, and what stands between them.
FRAME_BYTES = 1024


async def posted(request: Request, fields: Mapping[str, int]) -> Mapping[str, str] | None:
    """Return what was filled in, by field and cut to the field's characters; None for more than fits."""
    raw, room = bytearray(), FRAME_BYTES + CHAR_BYTES * sum(fields.values())
    async for block in request.stream():
        raw += block
        if len(raw) > room:
            return None
    try:
        found = parse_qs(raw.decode("ascii", "replace"), keep_blank_values=True, max_num_fields=len(fields))
    except ValueError:
        return None
    return {field: found.get(field, [""])[0][:most] for field, most in fields.items()}
