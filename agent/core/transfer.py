"""Decides when to ask for chunks, and how many may be under way: receiver-driven, so that a slow link is never flooded."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from agent.core.backoff import delay_s
from contracts.chunks import CHUNK_BYTES

MIN_WINDOW = 4
# As much of a broker's memory as one device takes that does not read: 8 MiB.
MAX_WINDOW = 32
# For a link of which nothing is known.
FIRST_WINDOW = 16
FIRST_SILENCE_S = 4.0
SHORTEST_SILENCE_S = 1.0
LONGEST_SILENCE_S = 60.0
# What a busy fleet and a busy device take between them to hear, answer and write.
TURN_S = 0.05
# A sample that is too short says nothing of a rate.
MIN_SAMPLE_S = 0.005
# A link that is slower than it was is believed after some samples only.
FADING = 0.8
SHORTEST_PATIENCE_S = 120.0
LONGEST_PATIENCE_S = 900.0


@dataclass(frozen=True)
class Link:
    """What was measured of one link; None before the first time."""

    latency_s: float | None = None
    bytes_per_s: float | None = None

    @property
    def window(self) -> int:
        """Return how many chunks keep the link full: twice what fits on it, because a want goes out at half."""
        if self.bytes_per_s is None or self.latency_s is None:
            return FIRST_WINDOW
        chunks = 2 * self.bytes_per_s * (self.latency_s + TURN_S) / CHUNK_BYTES
        return max(MIN_WINDOW, min(MAX_WINDOW, math.ceil(chunks) + 2))

    @property
    def silence_s(self) -> float:
        """Return after how long without a chunk those under way count as lost."""
        if self.bytes_per_s is None:
            return FIRST_SILENCE_S
        return max(SHORTEST_SILENCE_S, min(LONGEST_SILENCE_S, 4 * ((self.latency_s or 0.0) + CHUNK_BYTES / self.bytes_per_s)))

    @property
    def patience_s(self) -> float:
        """Return after how long without progress a source is given up: the time of ten full windows, some minutes in any case."""
        rate = self.bytes_per_s or CHUNK_BYTES
        return max(SHORTEST_PATIENCE_S, min(LONGEST_PATIENCE_S, 10 * self.window * CHUNK_BYTES / rate))

    def answered(self, after_s: float) -> Link:
        """Take the time of one round trip; the shortest is the link's own, the rest was waiting."""
        return replace(self, latency_s=after_s if self.latency_s is None else min(self.latency_s, after_s))

    def carried(self, size: int, in_s: float) -> Link:
        """Take what came in some time."""
        if in_s < MIN_SAMPLE_S:
            return self
        sample = size / in_s
        rate = sample if self.bytes_per_s is None else max(sample, FADING * self.bytes_per_s + (1 - FADING) * sample)
        return replace(self, bytes_per_s=rate)


@dataclass(frozen=True)
class Transfer:
    """One file on its way over one link; times are monotonic seconds."""

    link: Link
    round: int = 1
    asked_at_s: float | None = None
    heard_at_s: float = 0.0
    # Chunks that came since the last want; of their bytes those after `since_s`, when chunks had begun to flow.
    came: int = 0
    came_bytes: int = 0
    since_s: float | None = None
    # Wants in a row that nothing answered.
    unanswered: int = 0

    def hear(self, chunks: int, size: int, now_s: float) -> Transfer:
        """Take checked chunks."""
        heard = replace(self, heard_at_s=now_s, came=self.came + chunks, unanswered=0)
        if self.since_s is None:
            return replace(heard, since_s=now_s)
        return replace(heard, came_bytes=self.came_bytes + size)

    def hear_wrong(self) -> Transfer:
        """Take a chunk that was not what its digest says: it has to be sent once more."""
        return replace(self, round=self.round + 1, asked_at_s=None, came=0, came_bytes=0, since_s=None)

    def ask(self, now_s: float) -> Transfer:
        """Take note of a want that goes out now; when the one before was not answered, what was under way is lost."""
        if self.asked_at_s is None:
            return replace(self, asked_at_s=now_s, came=0, came_bytes=0, since_s=None)
        if self.came == 0:
            return replace(self, round=self.round + 1, asked_at_s=now_s, since_s=None, unanswered=self.unanswered + 1)
        is_lost = now_s - self.heard_at_s >= self.link.silence_s / 2
        link = self.link if self.since_s is None else self.link.carried(self.came_bytes, self.heard_at_s - self.since_s)
        since_s = None if is_lost else self.heard_at_s
        return replace(self, link=link, round=self.round + is_lost, asked_at_s=now_s, came=0, came_bytes=0, since_s=since_s)

    def waits_s(self, now_s: float, chance: float) -> float:
        """Return how long from now the next want is due if nothing arrives; zero or less means now."""
        if self.asked_at_s is None or self.came >= self.link.window // 2:
            return 0.0
        patience_s = delay_s(self.unanswered + 1, chance, first_s=self.link.silence_s, longest_s=LONGEST_SILENCE_S)
        return max(self.asked_at_s, self.heard_at_s) + patience_s - now_s
