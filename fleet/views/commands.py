"""What is told of commands."""

from __future__ import annotations

from pydantic import AwareDatetime

from contracts.commands import Findings, Order
from fleet.core.commands import Standing
from fleet.views.base import View


class CommandSummary(View):
    """One command to one device."""

    id: str
    device: str
    order: Order
    asker: str
    state: Standing
    reason: str
    issued_at: AwareDatetime
    expires_at: AwareDatetime
    # When the device said its newest word.
    answered_at: AwareDatetime | None


class CommandView(CommandSummary):
    """A command, and what it brought; a picture is kept for a day."""

    findings: Findings | None
