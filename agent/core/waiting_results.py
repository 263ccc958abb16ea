"""Decides which results of commands wait for the link: the newest, bounded in number and bytes, each for a while."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

MAX_RESULTS = 16
MAX_BYTES = 2 << 20


@dataclass(frozen=True)
class Result:
    """An encoded result, the command that it is of, and when it is given up, in monotonic seconds."""

    command: str
    payload: bytes
    until_s: float
    # Nothing follows it.
    is_final: bool
    # It stands for one that the broker refused for good.
    is_substitute: bool = False


class WaitingResults:
    """A queue; what of it outlives the process is decided elsewhere."""

    def __init__(self) -> None:
        """Begin empty."""
        self._results: deque[Result] = deque()

    def put(self, result: Result) -> list[Result]:
        """Queue a result; return the oldest ones, for which there is no room any more."""
        self._results.append(result)
        gone = []
        while len(self._results) > MAX_RESULTS or sum(len(each.payload) for each in self._results) > MAX_BYTES:
            gone.append(self._results.popleft())
        return gone

    def give_up(self, now_s: float) -> list[Result]:
        """Take out and return what is not worth sending any more."""
        gone = [each for each in self._results if each.until_s <= now_s]
        self._results = deque(each for each in self._results if each.until_s > now_s)
        return gone

    def first(self) -> Result | None:
        """Return the oldest."""
        return self._results[0] if self._results else None

    def remove(self, result: Result) -> None:
        """Take out a result that arrived; it may have been given up meanwhile."""
        if self._results and self._results[0] is result:
            self._results.popleft()
