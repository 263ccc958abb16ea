"""Decides how an upgrade of the agent itself ends: what counts as ready, and what becomes of an upgrade that was cut off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

# One start and the crashes that systemd may answer by another one.
MAX_RESTARTS = 2


class Trial(BaseModel, frozen=True, extra="ignore"):
    """An upgrade that is under way, as it is written down before the switch; both are names of environments."""

    good: str
    candidate: str


@dataclass(frozen=True)
class Sight:
    """How the service looks from outside; `is_linked` is the word of the very process that runs now."""

    state: str
    restarts: int
    is_linked: bool


def judge(sight: Sight, is_link_expected: bool) -> Literal["wait", "good", "bad"]:
    """Say whether a new version is up; it must reach the broker again where the one before did."""
    if sight.state == "failed" or sight.restarts > MAX_RESTARTS:
        return "bad"
    if sight.state == "active" and (sight.is_linked or not is_link_expected):
        return "good"
    return "wait"


def at_start(trial: Trial | None, is_led: bool) -> str | None:
    """Return the environment to go back to when the service starts, or None to go on.

    While somebody leads the trial he decides. A trial that nobody leads any more was cut off by a crash or a power cut, and nobody
    knows what of the candidate reached the disk: the version that was good then is good now.
    """
    return trial.good if trial is not None and not is_led else None
