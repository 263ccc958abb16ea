"""The agent's errors start here: each says at fault, expected, found and what to do."""

from __future__ import annotations

from contracts.errors import FieldfareError


class AgentError(FieldfareError):
    """Root of the agent's errors."""
