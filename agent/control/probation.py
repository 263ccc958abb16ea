"""Watches a release that has just taken over, until it is fit or shows that it is not."""

from __future__ import annotations

import asyncio
import time
from collections import deque

from agent.control.ports.machine import Thermometer
from agent.control.supervisor import Supervisor
from agent.core.growth import Sample
from agent.core.probation import Heat, Limits, Unfit, Watch, Work, verdict
from agent.errors import GoldenSetError, ProbationError, WorkerError
from contracts.messages import ReleaseRef

SHORTEST_POLL_S, LONGEST_POLL_S = 0.25, 2.0
# Samples of memory and heat in one probation, spread over all of it.
SAMPLES = 60


class Probation:
    """One release's trial."""

    def __init__(self, supervisor: Supervisor, thermometer: Thermometer, limits: Limits, probation_s: float) -> None:
        """Watch what `supervisor` has serve."""
        self._supervisor = supervisor
        self._thermometer = thermometer
        self._limits = limits
        self._probation_s = probation_s
        self._memory: deque[Sample] = deque(maxlen=SAMPLES)
        self._heats: deque[Heat] = deque(maxlen=SAMPLES)
        self._sampled_s = 0.0
        self._requests = self._errors = 0

    async def watch(self, release: ReleaseRef, before: ReleaseRef | None) -> None:
        """Return once the release is fit; raise WorkerError when it is not."""
        ledger = self._supervisor.ledger
        usual = Work() if before is None else ledger.work(before.manifest_sha256)
        ledger.forget(release.manifest_sha256)  # it may have been tried before
        calm_since_s, restarts = time.monotonic(), self._supervisor.restarts
        first = await self._thermometer.heat()
        while True:
            is_alive = self._supervisor.state == "serving"
            if not is_alive or restarts != self._supervisor.restarts:
                calm_since_s, restarts = time.monotonic(), self._supervisor.restarts
                self._memory.clear()
            await self._look()
            work = self._work(ledger.work(release.manifest_sha256))
            watch = Watch(time.monotonic() - calm_since_s, is_alive, work, usual, self._memory, (first, *self._heats))
            match verdict(watch, self._limits, self._probation_s):
                case "fit":
                    return
                case "unproven" if await self._is_proven():
                    return
                case Unfit(name, text):
                    raise ProbationError(name, text)
            await asyncio.sleep(min(LONGEST_POLL_S, max(SHORTEST_POLL_S, self._probation_s / SAMPLES)))

    async def _look(self) -> None:
        """Take note of the newest pulse, and now and then of memory and heat."""
        pulse, now_s = self._supervisor.pulse, time.monotonic()
        if pulse is None:
            return
        self._requests, self._errors = pulse.requests, pulse.errors
        if now_s - self._sampled_s >= self._probation_s / SAMPLES:
            self._sampled_s = now_s
            self._memory.append(Sample(now_s, pulse.rss_bytes))
            self._heats.append(await self._thermometer.heat())

    def _work(self, told: Work) -> Work:
        # A pulse knows of every request at once, a window only when it is over; but a worker that was restarted counts from nothing.
        if self._requests < told.requests:
            return told
        return Work(self._requests, self._errors, told.p95s_ms)

    async def _is_proven(self) -> bool:
        """Take the golden set for an answer where nobody asks: the worker that has served all along must still compute it."""
        worker = self._supervisor.serving
        if worker is None:
            return False
        try:
            await worker.prove()
        except GoldenSetError as error:
            raise ProbationError("golden", str(error)) from error
        except WorkerError:
            return False  # it ended over it, and that counts as a crash
        return True
