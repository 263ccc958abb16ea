"""Tells the control process for each window what was served."""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone
from time import monotonic

from agent.worker.link import Link
from agent.worker.model import Model
from agent.worker.statistics import Statistics
from agent.worker_link import Window
from contracts.messages import InferenceWindow, ReleaseRef

# The control process fills these in.
NO_SESSION, NO_SEQUENCE = "0" * 16, 0


class WindowReporter:
    """Knows when the current window began."""

    def __init__(self, link: Link, statistics: Statistics, model: Model) -> None:
        self._link = link
        self._statistics = statistics
        self._provider = model.runtime.provider
        manifest = model.manifest
        self._release = ReleaseRef(model=manifest.name, release=manifest.release, manifest_sha256=manifest.sha256)
        self._begin()

    async def send_windows(self, window_s: float) -> None:
        """Send each window that saw a request, for ever."""
        while True:
            await asyncio.sleep(window_s)
            await self.send_window()

    async def send_window(self) -> None:
        """Close the window, and send it unless it saw no request."""
        facts, started_at, elapsed_s = self._statistics.take_window(), self._started_at, monotonic() - self._started_s
        self._begin()
        if facts is None:
            return
        window = InferenceWindow(
            session=NO_SESSION,
            sequence=NO_SEQUENCE,
            sent_at=self._started_at,
            release=self._release,
            started_at=started_at,
            window_s=elapsed_s,
            requests=facts.requests,
            errors=facts.errors,
            latency_ms=facts.latency_ms,
            classes=facts.classes,
            provider=self._provider,
            latencies=facts.latencies,
            confidences=facts.confidences,
        )
        await self._link.send(Window(window=window))

    def _begin(self) -> None:
        self._started_at = datetime.now(timezone.utc)
        self._started_s = monotonic()
