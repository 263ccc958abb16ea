"""Decides what the fleet is told of a worker that fails, so that an alarm is raised once and cleared once, however long it lasts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

# Who served for so long has shown that it can.
STEADY_S = 60.0
# So many failures in a row are taken back at the first sign of life; more of them only by a worker that is steady.
FEW_FAILURES = 2


@dataclass(frozen=True)
class Alarm:
    """What to tell of a worker; `state` is `down` until it is `up` again, `tired` while it serves and must be replaced.

    Of its camera: `blind` or `frozen` until it `sees` again. `resumed` after a pause for which nobody served by intent.
    """

    severity: Literal["info", "warning", "error"]
    state: Literal["down", "up", "tired", "blind", "frozen", "sees", "resumed"]
    text: str
    # How long that pause was.
    pause_s: float | None = None


@dataclass(frozen=True)
class Trouble:
    """A run of failures, without a steady worker in between."""

    failures: int = 0
    reason: str = ""
    is_alarmed: bool = False

    def failed(self, reason: str) -> tuple[Trouble, Alarm | None]:
        """Count a failure; it is told when it is the first, another one, or the count has doubled."""
        failures = self.failures + 1
        is_news = reason != self.reason or failures & (failures - 1) == 0
        trouble = Trouble(failures, reason, self.is_alarmed or is_news)
        times = f" ({failures} failures in a row)" if failures > 1 else ""
        return trouble, Alarm("error", "down", f"crashed: {reason}{times}") if is_news else None

    def forgiven(self) -> Trouble:
        """Start over with another release; an alarm stays until that one serves."""
        return Trouble(is_alarmed=self.is_alarmed)

    def served(self, seconds: float) -> tuple[Trouble, Alarm | None]:
        """Take note that a worker has served for so long; the alarm is cleared by one that can be believed."""
        is_believed = seconds >= STEADY_S or self.failures <= FEW_FAILURES
        alarm = Alarm("info", "up", f"serves again{_after(self.failures)}") if self.is_alarmed and is_believed else None
        trouble = Trouble() if seconds >= STEADY_S else replace(self, is_alarmed=self.is_alarmed and alarm is None)
        return trouble, alarm


def _after(failures: int) -> str:
    return "" if failures == 0 else " after one failure" if failures == 1 else f" after {failures} failures"
