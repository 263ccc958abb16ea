"""Reads from a server's database when its devices reported, and how long a rollout kept them waiting for the next decision."""

from __future__ import annotations

import contextlib
import sqlite3
from itertools import pairwise
from pathlib import Path

MICRO = 1e-6


class Offers:
    """What a SQLite file tells, read beside the server that writes it."""

    def __init__(self, file: Path) -> None:
        """Name the file."""
        self._file = file

    def reported_since(self, since_s: float) -> int:
        """Return how many devices said what they have, of those that are connected."""
        online = "SELECT device FROM reports WHERE leaf = 'birth' AND received_at >= ?1 AND json_extract(body, '$.online')"
        return int(
            self._ask(f"SELECT count(*) FROM reports WHERE leaf = 'reported' AND received_at >= ?1 AND device IN ({online})", since_s)
        )

    def first_birth_s(self, since_s: float) -> float:
        """Return when the first device was heard, in seconds since 1970."""
        return MICRO * self._ask("SELECT min(received_at) FROM reports WHERE leaf = 'birth' AND received_at >= ?1", since_s)

    def last_report_s(self) -> float:
        """Return when the last device reported."""
        return MICRO * self._ask("SELECT max(received_at) FROM reports WHERE leaf = 'reported'")

    def longest_pause_s(self, rollout: int) -> float:
        """Return the longest time between rounds of wishes of one wave, and between a wave's last report and the next one's first wish."""
        wishes = "SELECT wave, issued_at FROM rollout_devices JOIN desired USING (device) WHERE rollout = ? GROUP BY 1, 2 ORDER BY 1, 2"
        words = "SELECT wave, max(received_at) FROM rollout_devices JOIN reports USING (device) WHERE rollout = ? AND leaf = 'reported'"
        with contextlib.closing(sqlite3.connect(self._file)) as connection:
            rounds = connection.execute(wishes, (rollout,)).fetchall()
            settled = dict(connection.execute(words + " GROUP BY wave", (rollout,)).fetchall())
        pauses = [at - (before if wave == earlier else settled[earlier]) for (earlier, before), (wave, at) in pairwise(rounds)]
        return MICRO * max(pauses, default=0)

    def _ask(self, query: str, since_s: float = 0.0) -> float:
        with contextlib.closing(sqlite3.connect(self._file)) as connection:
            (found,) = connection.execute(query, (int(since_s / MICRO),) if "?1" in query else ()).fetchone()
        return float(found or 0)
