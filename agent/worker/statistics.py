"""Counts what a worker does: requests, errors, latencies and classes, in windows of bounded memory."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

from contracts.messages import Latency

# Latencies kept in one window; beyond them each is as likely to be kept as any other.
RESERVOIR = 4096
MAX_CLASSES = 512
MAX_LABEL_LETTERS = 64
OTHER_CLASSES = "other"


@dataclass(frozen=True)
class WindowFacts:
    """One window's numbers; percentiles are exact up to `RESERVOIR` requests, and of a fair sample beyond."""

    requests: int
    errors: int
    latency_ms: Latency
    classes: dict[str, int]


class Statistics:
    """All counts of one worker; `requests` and `errors` are since its start.

    Every authorised infer request counts; an error is one that was not answered with outputs, whoever was at fault.
    """

    def __init__(self, chance: random.Random) -> None:
        self.requests = 0
        self.errors = 0
        self._chance = chance
        self._open_window()

    def record_error(self, latency_s: float) -> None:
        """Count a request that got no outputs."""
        self.errors += 1
        self._window_errors += 1
        self._record(latency_s)

    def record_answer(self, latency_s: float, classes: Iterable[str]) -> None:
        """Count a request that got its outputs, and the winning class of each of its samples."""
        for label in classes:
            key = label[:MAX_LABEL_LETTERS]
            is_kept = key in self._classes or len(self._classes) < MAX_CLASSES
            self._classes[key if is_kept else OTHER_CLASSES] += 1
        self._record(latency_s)

    def take_window(self) -> WindowFacts | None:
        """Close the window and open the next; None when it saw no request."""
        requests = self.requests - self._start
        if requests == 0:
            return None
        ordered = sorted(self._latencies_ms)
        latency = Latency(
            mean=self._sum_ms / requests,
            p50=_percentile(ordered, 50),
            p95=_percentile(ordered, 95),
            p99=_percentile(ordered, 99),
            max=self._max_ms,
        )
        facts = WindowFacts(requests, self._window_errors, latency, dict(self._classes))
        self._open_window()
        return facts

    def _open_window(self) -> None:
        self._start = self.requests
        self._window_errors = 0
        self._latencies_ms: list[float] = []
        self._sum_ms = self._max_ms = 0.0
        self._classes: Counter[str] = Counter()

    def _record(self, latency_s: float) -> None:
        self.requests += 1
        latency_ms = latency_s * 1000
        self._sum_ms += latency_ms
        self._max_ms = max(self._max_ms, latency_ms)
        if len(self._latencies_ms) < RESERVOIR:
            self._latencies_ms.append(latency_ms)
        elif (place := self._chance.randrange(self.requests - self._start)) < RESERVOIR:
            self._latencies_ms[place] = latency_ms


def _percentile(ordered: list[float], percent: int) -> float:
    """Return the nearest-rank percentile of a sorted list that is not empty."""
    return ordered[ceil(len(ordered) * percent / 100) - 1]
