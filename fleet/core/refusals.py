"""Decides how a device's judgement of its wishes reads in one line: the newest signed time, and the attacks it refused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime


def trust_line(newest_time: datetime | None, refused: Mapping[str, int]) -> str:
    """Write it for people, the commonest class of attack first."""
    seen = "nothing verified yet" if newest_time is None else f"newest signed time {newest_time:%Y-%m-%d %H:%M} UTC"
    ordered = sorted(refused.items(), key=lambda entry: (-entry[1], entry[0]))
    attacks = ", ".join(f"{count} {refusal.replace('_', ' ')}" for refusal, count in ordered)
    return f"{seen}; refused {attacks or 'nothing'}"
