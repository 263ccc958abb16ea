"""What is told of those who may use API and dashboard, and of what they did."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

from fleet.core.audit import LinkedEntry
from fleet.views.base import View


class TokenView(View):
    """One API token, without its secret."""

    name: str
    role: Literal["viewer", "operator", "admin"]
    created_at: AwareDatetime
    # None: until it is revoked.
    expires_at: AwareDatetime | None


class UserView(View):
    """One person who may sign in by a password."""

    name: str
    role: Literal["viewer", "operator", "admin"]
    added_at: AwareDatetime
    # When the password or the role last changed.
    changed_at: AwareDatetime


class AuditPage(View):
    """Rows of the audit log, and where the next ones begin; None when there are no more."""

    items: tuple[LinkedEntry, ...]
    next: str | None
