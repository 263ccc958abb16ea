"""A thermometer that shows what a test tells it to."""

from __future__ import annotations

from collections.abc import Iterator

from agent.core.probation import Heat


class ToldThermometer:
    """Shows one reading after the other, then the usual one."""

    def __init__(self, usual: Heat, readings: Iterator[Heat] | None = None) -> None:
        """Show `readings` first."""
        self._usual = usual
        self._readings = iter(()) if readings is None else readings

    async def heat(self) -> Heat:
        """Return the next reading."""
        return next(self._readings, self._usual)
