"""Touches the kernel's thermal framework: how warm the zones are, and whether and for how long processors were slowed to cool them."""

from __future__ import annotations

import re
from pathlib import Path

from agent.adapters.probes.files import celsius, entries, number, text

# Cooling devices that cool by slowing a processor or a GPU down; fans are none.
_PROCESSOR = re.compile(r"(thermal-)?(cpufreq|devfreq)-.*")
_STATE = re.compile(r"state(?P<state>[0-9]{1,4})\s+(?P<ms>[0-9]{1,18})")


def hottest_c(sys: Path) -> float | None:
    """Return the temperature of the hottest zone."""
    readings = (celsius(zone / "temp") for zone in entries(sys / "class" / "thermal", "thermal_zone*"))
    return max((reading for reading in readings if reading is not None), default=None)


def is_slowed(sys: Path) -> bool | None:
    """Say whether heat slows a processor down now."""
    states = [state for cooler in _coolers(sys) if (state := number(cooler / "cur_state")) is not None]
    return any(state > 0 for state in states) if states else None


class SlowMeter:
    """Says for which share of the time heat slowed processors down, where the kernel counts that (CONFIG_THERMAL_STATISTICS)."""

    def __init__(self, sys: Path) -> None:
        """Begin the first interval."""
        self._sys = sys
        self._before = self._counts()

    def share(self) -> float | None:
        """Return the share of the time since it was asked before, 0 to 1, of the processor that was slowed longest."""
        before, self._before = self._before, self._counts()
        shares = [share for name, now in self._before.items() if name in before and (share := _share(before[name], now)) is not None]
        return max(shares, default=None)

    def _counts(self) -> dict[str, tuple[int, int]]:
        found = {cooler.name: _slow_and_all_ms(text(cooler / "stats" / "time_in_state_ms")) for cooler in _coolers(self._sys)}
        return {name: counts for name, counts in found.items() if counts is not None}


def _coolers(sys: Path) -> list[Path]:
    return [cooler for cooler in entries(sys / "class" / "thermal", "cooling_device*") if _PROCESSOR.fullmatch(text(cooler / "type"))]


def _slow_and_all_ms(said: str) -> tuple[int, int] | None:
    lines = [_STATE.fullmatch(line.strip()) for line in said.splitlines()]
    spent = [(int(line["state"]), int(line["ms"])) for line in lines if line is not None]
    if not spent or len(spent) != len(lines):
        return None
    return sum(ms for state, ms in spent if state > 0), sum(ms for _, ms in spent)


def _share(before: tuple[int, int], now: tuple[int, int]) -> float | None:
    slow_ms, all_ms = now[0] - before[0], now[1] - before[1]
    # Somebody may have set the counters back.
    return slow_ms / all_ms if 0 <= slow_ms <= all_ms and all_ms > 0 else None
