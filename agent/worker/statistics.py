"""Counts what a worker does: requests, errors, latencies, scores and classes, in windows of bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from contracts.messages import MAX_CLASSES, OTHER_CLASSES, Latency, latency_of
from contracts.sketches import Sketch, bin_of

MAX_LABEL_LETTERS = 64


@dataclass(frozen=True)
class Winner:
    """The class that came out on top of one sample, and its score where that is a share of one."""

    label: str
    score: float | None = None


@dataclass(frozen=True)
class WindowFacts:
    """One window's numbers; mean and maximum are exact, percentiles are the sketch's."""

    requests: int
    errors: int
    latency_ms: Latency
    classes: dict[str, int]
    latencies: Sketch
    # None when no score was told.
    confidences: Sketch | None


class Statistics:
    """All counts of one worker; `requests` and `errors` are since its start.

    Every authorised infer request counts; an error is one that was not answered with outputs, whoever was at fault.
    """

    def __init__(self) -> None:
        self.requests = 0
        self.errors = 0
        self._open_window()

    def record_error(self, latency_s: float) -> None:
        """Count a request that got no outputs."""
        self.errors += 1
        self._window_errors += 1
        self._record(latency_s)

    def record_answer(self, latency_s: float, winners: Iterable[Winner]) -> None:
        """Count a request that got its outputs, and the winning class of each of its samples."""
        for winner in winners:
            key = winner.label[:MAX_LABEL_LETTERS]
            is_kept = key in self._classes or len(self._classes) < MAX_CLASSES
            self._classes[key if is_kept else OTHER_CLASSES] += 1
            if winner.score is not None:
                self._confidences[bin_of(winner.score)] += 1
        self._record(latency_s)

    def take_window(self) -> WindowFacts | None:
        """Close the window and open the next; None when it saw no request."""
        requests = self.requests - self._start
        if requests == 0:
            return None
        latencies = Sketch.of(self._latencies)
        latency = latency_of(latencies, self._sum_ms / requests, self._max_ms)
        confidences = Sketch.of(self._confidences) if self._confidences else None
        facts = WindowFacts(requests, self._window_errors, latency, dict(self._classes), latencies, confidences)
        self._open_window()
        return facts

    def _open_window(self) -> None:
        self._start = self.requests
        self._window_errors = 0
        self._sum_ms = self._max_ms = 0.0
        self._latencies: Counter[int] = Counter()
        self._confidences: Counter[int] = Counter()
        self._classes: Counter[str] = Counter()

    def _record(self, latency_s: float) -> None:
        self.requests += 1
        latency_ms = latency_s * 1000
        self._sum_ms += latency_ms
        self._max_ms = max(self._max_ms, latency_ms)
        self._latencies[bin_of(latency_ms)] += 1
