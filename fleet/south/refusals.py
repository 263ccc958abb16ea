"""Decides when a topic that the broker refused is published to again: later each time, and not at every turn of a loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

FIRST_S, LONGEST_S = 1.0, 60.0
# More topics than these are not remembered: then the oldest may be tried at once.
MAX_TOPICS = 10_000


@dataclass(frozen=True)
class Refusal:
    """Why, until when nothing more is said there, and for how long that is."""

    reason: int
    until_s: float
    pause_s: float


class Refusals:
    """By topic, whatever becomes of the connection: mosquitto 2.0 ends it after it refused a publication."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        """Count by a monotonic clock."""
        self._clock_s = clock_s
        self._by_topic: dict[str, Refusal] = {}

    def held(self, topic: str) -> int | None:
        """Return why nothing is to be said to a topic for now; None where something may be."""
        refusal = self._by_topic.get(topic)
        return None if refusal is None or refusal.until_s <= self._clock_s() else refusal.reason

    def add(self, topic: str, reason: int) -> None:
        """Take note of a refusal, maybe one of several in a row."""
        before = self._by_topic.pop(topic, None)
        pause_s = FIRST_S if before is None else min(2 * before.pause_s, LONGEST_S)
        self._by_topic[topic] = Refusal(reason, self._clock_s() + pause_s, pause_s)
        if len(self._by_topic) > MAX_TOPICS:
            del self._by_topic[next(iter(self._by_topic))]

    def take(self, topic: str) -> None:
        """Take note that something was taken."""
        self._by_topic.pop(topic, None)
