"""Counts messages that make no sense, by sender, and logs them ever more rarely."""

from __future__ import annotations

import logging
from collections import Counter

# Past this many senders, newcomers share one count.
MAX_SENDERS = 10_000


class Poison:
    """What was not understood."""

    def __init__(self, log: logging.Logger) -> None:
        """Tell `log`."""
        self._log = log
        self.counts: Counter[str] = Counter()

    def add(self, sender: str, reason: str) -> None:
        """Count one message; the 1st, 2nd, 4th, 8th of a sender are logged."""
        sender = sender if sender in self.counts or len(self.counts) < MAX_SENDERS else "others"
        self.counts[sender] += 1
        count = self.counts[sender]
        if count & (count - 1) == 0:
            self._log.warning("%s: message %d that was refused: %s", sender, count, reason)
