"""Decides how a source is doing: live, frozen or stopped, how many pictures come, and when to try again."""

from __future__ import annotations

from collections import deque

from agent.core.backoff import delay_s
from contracts.messages import SourceHealth, SourceState

FIRST_RETRY_S, LONGEST_RETRY_S = 0.5, 60.0
# Periods without a frame until a source counts as stopped; of a quick camera at least this long, for a busy machine hesitates too.
MISSED_PERIODS, LEAST_PATIENCE_S = 5.0, 2.0
# A stream may have to be set up across a network.
OPEN_S = 20.0
# The worker before holds the camera until it drains; until then that it cannot be opened is no news.
HANDOVER_S = 5.0
# Who was lost this often in a row is believed only once it has shown pictures for so long.
FEW_FAILURES, STEADY_S = 2, 10.0
RATE_WINDOW_S, MAX_TIMES = 10.0, 2400


def patience_s(period_s: float) -> float:
    """Return how long a source may show nothing."""
    return max(MISSED_PERIODS * period_s, LEAST_PATIENCE_S)


class SourceWatch:
    """One source from the moment its worker serves; times are seconds of a clock that never jumps."""

    def __init__(self, shown: str, frozen_s: float, now_s: float) -> None:
        """Watch what is `shown`; a picture that stays the same for `frozen_s` is frozen, 0 for never."""
        self.trouble = ""
        self._shown = shown
        self._frozen_s = frozen_s
        self._began_s = now_s
        self._state: SourceState = "opening"
        self._reason = ""
        self._failures = 0
        self._live_since_s: float | None = None
        self._same_since_s: float | None = None
        self._frames = self._dropped = 0
        self._times: deque[float] = deque(maxlen=MAX_TIMES)

    def saw(self, now_s: float, *, is_same: bool) -> None:
        """Take note of a picture, and whether it is the one before to the byte."""
        self._frames += 1
        self._times.append(now_s)
        if not is_same:
            self._same_since_s = None
        elif self._same_since_s is None:
            self._same_since_s = self._times[-2] if len(self._times) > 1 else now_s
        self.answered(now_s)

    def answered(self, now_s: float) -> None:
        """Take note that the source is well, though it may have nothing new."""
        if self._live_since_s is None:
            self._live_since_s = now_s
        is_steady = now_s - self._live_since_s >= STEADY_S
        if self._failures > FEW_FAILURES and not is_steady:
            return
        if is_steady:
            self._failures = 0
        still_s = 0.0 if self._same_since_s is None else now_s - self._same_since_s
        is_frozen = 0 < self._frozen_s <= still_s
        self._state = "frozen" if is_frozen else "live"
        self._reason = f"the picture has not changed in {still_s:.0f} s" if is_frozen else ""

    def dropped(self) -> None:
        """Count a picture that a newer one replaced."""
        self._dropped += 1

    def failed(self, reason: str, now_s: float, chance: float) -> float:
        """Take note that there are no pictures; return how many seconds to wait before the next try."""
        self._failures += 1
        self._live_since_s = self._same_since_s = None
        self._times.clear()
        self._reason = reason
        if self._frames or now_s - self._began_s >= HANDOVER_S:
            self._state = "stopped"
        return delay_s(self._failures, chance, first_s=FIRST_RETRY_S, longest_s=LONGEST_RETRY_S)

    def refused(self, reason: str) -> None:
        """Take note that this source can never show the model anything."""
        self._state, self._reason = "stopped", reason

    def health(self, now_s: float, reader_rss_bytes: int | None = None) -> SourceHealth:
        """Return how it is now, whose reader takes so much memory."""
        recent = sum(1 for time_s in self._times if now_s - time_s <= RATE_WINDOW_S)
        since_s = now_s if self._live_since_s is None else self._live_since_s
        watched_s = min(RATE_WINDOW_S, max(now_s - since_s, 1.0))
        return SourceHealth(
            state=self._state,
            source=self._shown,
            frames_per_s=round(recent / watched_s, 2),
            frames=self._frames,
            dropped=self._dropped,
            reason="; ".join(filter(None, (self._reason, self.trouble)))[:1000],
            reader_rss_bytes=reader_rss_bytes,
        )
