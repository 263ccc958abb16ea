"""Keeps what the releases of one model answered lately, so that a new one can be compared with the one before it on this device."""

from __future__ import annotations

from collections import OrderedDict, deque

from agent.core.probation import Work
from contracts.messages import InferenceWindow

# Ten minutes of windows, with their usual length and traffic.
MAX_WINDOWS = 60
# The one that serves, the one before it, and one that is tried.
MAX_RELEASES = 3


class Ledger:
    """Recent windows by release, of bounded memory; nothing of it survives a restart of the agent."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._windows: OrderedDict[str, deque[InferenceWindow]] = OrderedDict()

    def note(self, window: InferenceWindow) -> None:
        """Take in what a worker counted."""
        digest = window.release.manifest_sha256
        self._windows.setdefault(digest, deque(maxlen=MAX_WINDOWS)).append(window)
        self._windows.move_to_end(digest)
        while len(self._windows) > MAX_RELEASES:
            self._windows.popitem(last=False)

    def forget(self, digest: str) -> None:
        """Start over with a release that is tried again."""
        self._windows.pop(digest, None)

    def work(self, digest: str) -> Work:
        """Return what a release did lately."""
        windows = self._windows.get(digest, ())
        return Work(
            requests=sum(window.requests for window in windows),
            errors=sum(window.errors for window in windows),
            p95s_ms=tuple((window.latency_ms.p95, window.requests) for window in windows),
        )
