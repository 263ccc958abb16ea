"""Decides which results of commands wait for the link: the newest, bounded in number and bytes, each for a while."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

MAX_RESULTS = 16
MAX_BYTES = 2 << 20


@dataclass(frozen=True)
class Result:
    """An encoded result, the topic leaf it goes to, and when it is given up, in monotonic seconds."""

    leaf: str
    payload: bytes
    until_s: float


class WaitingResults:
    """A queue in memory: a picture is never kept on the disk for later."""

    def __init__(self) -> None:
        """Begin empty."""
        self._results: deque[Result] = deque()

    def put(self, leaf: str, payload: bytes, until_s: float) -> None:
        """Queue a result; the oldest ones go where there is no room."""
        self._results.append(Result(leaf, payload, until_s))
        while len(self._results) > MAX_RESULTS or sum(len(each.payload) for each in self._results) > MAX_BYTES:
            self._results.popleft()

    def first(self, now_s: float) -> Result | None:
        """Return the oldest that is still worth sending."""
        while self._results and self._results[0].until_s <= now_s:
            self._results.popleft()
        return self._results[0] if self._results else None

    def remove(self, result: Result) -> None:
        """Take out a result that arrived; it may have been given up meanwhile."""
        if self._results and self._results[0] is result:
            self._results.popleft()
