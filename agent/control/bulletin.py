"""Shows people on the device how the agent is: soon after anything changed, and else as often as it tells the fleet."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, replace

import anyio

from agent.control.ports.machine import Board
from agent.control.promise import Promise
from agent.control.reporter import Reporter, utc_now
from agent.control.uplink import Uplink
from agent.core.status import Status
from contracts.messages import WorkerHealth

LOOK_S = 2.0
WRITE_S = 5.0


@dataclass(frozen=True)
class Sources:
    """Where a status is read from; `broker` is its address."""

    reporter: Reporter
    uplink: Uplink
    broker: str


class Bulletin:
    """The agent's own page on the board."""

    def __init__(self, sources: Sources, board: Board, interval_s: float) -> None:
        """Renew the page every `interval_s`, whether anything changed or not."""
        self.promise = Promise("status")
        self._sources = sources
        self._board = board
        self._interval_s = interval_s

    def set(self, broker: str, interval_s: float) -> None:
        """Name another broker, and renew the page that often."""
        self._sources, self._interval_s = replace(self._sources, broker=broker), interval_s

    async def run(self, workers: Callable[[], dict[str, WorkerHealth]]) -> None:
        """Look often, write seldom."""
        shown: object = None
        age_s = 0.0
        while True:
            sources, told = self._sources, workers()
            states = {model: worker.state for model, worker in told.items()}
            seen = (sources.uplink.is_connected, sources.reporter.models, sources.reporter.configuration, states)
            if seen != shown or age_s >= self._interval_s:
                shown, age_s = seen, 0.0
                with self.promise.within(WRITE_S):
                    await anyio.to_thread.run_sync(self._board.show, self._status(told))
            pause_s = min(LOOK_S, self._interval_s)
            with self.promise.within(pause_s):
                await asyncio.sleep(pause_s)
            age_s += pause_s

    def _status(self, workers: dict[str, WorkerHealth]) -> Status:
        reporter, uplink = self._sources.reporter, self._sources.uplink
        identity = reporter.identity
        return Status(
            written_at=utc_now(),
            pid=os.getpid(),
            agent_version=identity.agent_version,
            device=identity.device.id,
            broker=self._sources.broker,
            is_linked=uplink.is_connected,
            last_contact_at=uplink.last_contact_at,
            waiting_bytes=reporter.outbox.size,
            dropped=reporter.outbox.dropped.windows + reporter.outbox.dropped.others,
            models=reporter.models,
            workers=workers,
            configuration=reporter.configuration,
        )
