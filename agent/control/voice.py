"""Tells of one model's workers what others must hear: crashes, alarms and their end, windows, and what its camera shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agent.core.alarm import Alarm, Trouble
from agent.core.sight import Sight
from agent.worker_link import Pulse
from contracts.messages import InferenceWindow, ReleaseRef


@dataclass(frozen=True)
class Listener:
    """Who is told what workers do."""

    on_crash: Callable[[ReleaseRef, str], None]
    on_alarm: Callable[[ReleaseRef, Alarm], None]
    on_window: Callable[[InferenceWindow], None]
    on_change: Callable[[], None]


class Voice:
    """Says a trouble once when it begins and once when it is over."""

    def __init__(self, listener: Listener) -> None:
        """Speak to `listener`."""
        self._listener = listener
        self._trouble = Trouble()
        self._sight = Sight()

    @property
    def failures(self) -> int:
        """Return how often in a row workers failed."""
        return self._trouble.failures

    def forgive(self) -> None:
        """Begin anew with another release."""
        self._trouble = self._trouble.forgiven()

    def fail(self, release: ReleaseRef, reason: str) -> None:
        """Tell that a worker crashed, or did not come up."""
        self._trouble, alarm = self._trouble.failed(reason)
        self._tell(release, alarm)
        self._listener.on_crash(release, reason)

    def serve(self, release: ReleaseRef, served_s: float) -> None:
        """Take note that a worker has served for so long."""
        self._trouble, alarm = self._trouble.served(served_s)
        self._tell(release, alarm)

    def look(self, release: ReleaseRef, pulse: Pulse | None) -> None:
        """Take note of what a worker's camera shows."""
        self._sight, alarm = self._sight.seen(None if pulse is None else pulse.source)
        self._tell(release, alarm)

    def tell(self, release: ReleaseRef, alarm: Alarm) -> None:
        """Tell of something else."""
        self._listener.on_alarm(release, alarm)

    def change(self) -> None:
        """Tell that another worker serves, or none."""
        self._listener.on_change()

    def window(self, window: InferenceWindow) -> None:
        """Pass statistics on."""
        self._listener.on_window(window)

    def _tell(self, release: ReleaseRef, alarm: Alarm | None) -> None:
        if alarm is not None:
            self._listener.on_alarm(release, alarm)
