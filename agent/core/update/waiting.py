"""Decides how long a model's update may wait, and how often the time that went by is taken note of."""

from __future__ import annotations

from agent.core.update.state import Update
from contracts.lifecycle import DEADLINES, Phase

# A wish that failed for a reason that may pass is taken up again after these; then only a later document of the fleet does so.
RETRY_AFTER_S = (600.0, 3600.0, 6 * 3600.0)
# Time that a restart makes us forget is counted as so much, or a device that restarts often would wait for ever.
RESTART_S = 600.0
# Who served for so long without a crash has shown that it can.
STEADY_S = 3600.0
# Each note is a write: so many of them at most in one wait.
NOTES = 64


def limit_s(update: Update) -> float | None:
    """Return how long the machine may stay as it is without progress; None where it waits for nothing."""
    if update.candidate is not None and update.phase is Phase.SHADOW and update.shadow is not None:
        return max(0.0, update.shadow.life_s - update.shadowed_s)
    if update.candidate is not None:
        return DEADLINES[update.phase].after_s
    if update.phase is Phase.FAILED and update.may_try_again and update.retries < len(RETRY_AFTER_S):
        return RETRY_AFTER_S[update.retries]
    return None


def next_tick_s(update: Update) -> float | None:
    """Return when the machine wants to hear of the time next; None for never."""
    limit = limit_s(update)
    return None if limit is None else min(limit / NOTES, max(0.0, limit - update.waited_s))
