"""What is told of those who may use the API."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

from fleet.views.base import View


class TokenView(View):
    """One API token, without its secret."""

    name: str
    role: Literal["viewer", "operator", "admin"]
    created_at: AwareDatetime
    # None: until it is revoked.
    expires_at: AwareDatetime | None
