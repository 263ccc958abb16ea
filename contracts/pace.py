"""Decides when more bytes may flow, on a device or a server: a byte rate, and hours of the day."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta

# What may come at once after a pause.
BURST_S = 0.1


@dataclass(frozen=True)
class Hours:
    """From one time of the day to another, over midnight where the second is earlier; equal times mean always."""

    start: time
    end: time

    @classmethod
    def parse(cls, text: str) -> Hours | None:
        """Read `HH:MM-HH:MM`, as the configuration has checked it; None for an empty text."""
        if not text:
            return None
        start, _, end = text.partition("-")
        return cls(time.fromisoformat(start), time.fromisoformat(end))

    def opens_in_s(self, now: datetime) -> float:
        """Return how long it is until the hours begin; 0 within them."""
        at = now.time()
        is_open = self.start <= at < self.end if self.start < self.end else at >= self.start or at < self.end
        if is_open:
            return 0.0
        opening = datetime.combine(now.date(), self.start, now.tzinfo)
        return (opening if opening > now else opening + timedelta(days=1)).timestamp() - now.timestamp()


@dataclass(frozen=True)
class Budget:
    """Bytes that may be asked for now, which grow with time; `at_s` are monotonic seconds. A rate of 0 is no limit."""

    bytes_per_s: float
    left: float = 0.0
    at_s: float = 0.0

    def at(self, now_s: float) -> Budget:
        """Let time pass."""
        grown = self.left + (now_s - self.at_s) * self.bytes_per_s
        return replace(self, left=min(grown, BURST_S * self.bytes_per_s), at_s=now_s)

    def spend(self, size: int) -> Budget:
        """Take what came; the debt of a burst is paid by waiting."""
        return replace(self, left=self.left - size) if self.bytes_per_s else self

    @property
    def wait_s(self) -> float:
        """Return how long nothing may be asked for; 0 where there is budget."""
        return max(0.0, -self.left / self.bytes_per_s) if self.bytes_per_s else 0.0
