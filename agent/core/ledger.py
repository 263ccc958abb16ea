"""Keeps what the releases of one model answered lately, so that a new one can be compared with the one before it on this device."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import NamedTuple

from agent.core.probation import Work
from contracts.messages import InferenceWindow

# Ten minutes of windows, with their usual length and traffic.
MAX_WINDOWS = 60
# The one that serves, the one before it, and one that is tried.
MAX_RELEASES = 3


class Entry(NamedTuple):
    """What is kept of a window: the window itself is a hundred times as large."""

    requests: int
    errors: int
    p95_ms: float


class Ledger:
    """Recent windows by release, of bounded memory; nothing of it survives a restart of the agent."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._windows: OrderedDict[str, deque[Entry]] = OrderedDict()

    def note(self, window: InferenceWindow) -> None:
        """Take in what a worker counted."""
        digest = window.release.manifest_sha256
        self._windows.setdefault(digest, deque(maxlen=MAX_WINDOWS)).append(Entry(window.requests, window.errors, window.latency_ms.p95))
        self._windows.move_to_end(digest)
        while len(self._windows) > MAX_RELEASES:
            self._windows.popitem(last=False)

    def forget(self, digest: str) -> None:
        """Start over with a release that is tried again."""
        self._windows.pop(digest, None)

    def work(self, digest: str) -> Work:
        """Return what a release did lately."""
        entries = self._windows.get(digest, ())
        return Work(
            requests=sum(entry.requests for entry in entries),
            errors=sum(entry.errors for entry in entries),
            p95s_ms=tuple((entry.p95_ms, entry.requests) for entry in entries),
        )
