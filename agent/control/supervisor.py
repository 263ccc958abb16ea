"""Keeps one model served: starts its workers, restarts those that crash or hang, and hands over without a gap."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import anyio
from anyio.abc import TaskGroup, TaskStatus

from agent.control.delivery import Installed
from agent.control.ports.workers import Launcher
from agent.control.promise import Promise
from agent.control.worker import Patience, Worker
from agent.core.backoff import delay_s
from agent.errors import AgentError, WorkerError
from agent.worker_link import Pulse, Ready
from contracts.messages import InferenceWindow, ReleaseRef

FIRST_RESTART_S = 0.2
LONGEST_RESTART_S = 60.0
# Who served for so long has shown that it can.
STEADY_S = 60.0
# What a start takes beside the worker's own time to get ready: the wait before it, and draining what is not needed.
START_S = 300.0


@dataclass(frozen=True)
class Listener:
    """Who is told what workers do."""

    on_crash: Callable[[ReleaseRef, str], None]
    on_window: Callable[[InferenceWindow], None]
    on_change: Callable[[], None]


class Supervisor:
    """The workers of one model: the serving one, and at times a candidate."""

    def __init__(self, model: str, launcher: Launcher, listener: Listener, patience: Patience) -> None:
        """Supervise `model`; `run` must be running for all else to work."""
        self.model = model
        self.promise = Promise(f"supervisor of {model}")
        self.restarts = 0
        self.serving: Worker | None = None
        self.candidate: Worker | None = None
        self._launcher = launcher
        self._listener = listener
        self._patience = patience
        self._wanted: Installed | None = None
        self._failures = 0
        self._served_since_s = 0.0
        self._wake = asyncio.Event()
        self._attempt = anyio.CancelScope()
        self._hands = asyncio.Lock()
        self._workers: TaskGroup | None = None

    @property
    def state(self) -> Literal["starting", "serving", "restarting", "stopped"]:
        """Return how callers find the model."""
        if self.serving is not None and not self.serving.has_ended:
            return "serving"
        if self._wanted is None:
            return "stopped" if self.candidate is None else "starting"
        return "restarting" if self.restarts else "starting"

    @property
    def target(self) -> str:
        """Return which of the release's artifacts serves; empty while none does."""
        return "" if self._wanted is None else self._wanted.target

    @property
    def pulse(self) -> Pulse | None:
        """Return the serving worker's newest pulse."""
        return None if self.serving is None else self.serving.pulse

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Bring about what is wanted, for ever; when cancelled no worker stays behind."""
        async with anyio.create_task_group() as workers:
            self._workers = workers
            task_status.started()
            while True:
                await self._wake.wait()
                self._wake.clear()
                async with self._hands:
                    with anyio.CancelScope() as self._attempt, self.promise.within(self._patience.ready_s + START_S):
                        await self._reconcile()

    def want(self, installed: Installed | None) -> None:
        """Have this release serve as soon as it can; the one before serves until then."""
        self._wanted = installed
        self._failures = 0
        self._attempt.cancel()  # whatever is being started may be another one
        self._wake.set()

    async def test(self, installed: Installed) -> Ready:
        """Start a candidate beside the serving worker and have it run the golden set; raise AgentError."""
        await self.discard()
        self.candidate = await self._start(installed)
        return await self.candidate.until_ready()

    async def switch(self) -> None:
        """Let the candidate take over, then the old worker drain; raise WorkerError, upon which the old one still serves."""
        self._attempt.cancel()
        async with self._hands:
            candidate = self.candidate
            # Should the candidate fail here, whoever served before must be looked after again.
            self._wake.set()
            if candidate is None:
                raise WorkerError("expected a tested candidate, found none")
            await candidate.serve()
            self.candidate = None
            self._wanted = candidate.installed
            self._failures = 0
            self._take_over(candidate)

    async def discard(self) -> None:
        """End the candidate, if there is one."""
        candidate, self.candidate = self.candidate, None
        if candidate is not None:
            await candidate.drain()

    async def drain(self) -> None:
        """Stop serving in good order."""
        self._wanted = None
        self._attempt.cancel()
        async with self._hands:
            worker, self.serving = self.serving, None
            if worker is not None:
                await worker.drain()
        await self.discard()

    async def _reconcile(self) -> None:
        worker, wanted = self.serving, self._wanted
        if worker is not None and worker.has_ended:
            worker = self.serving = None
            self._wake.set()
        if wanted is None:
            self._take_over(None)
            return
        if worker is not None and worker.installed == wanted:
            return
        await asyncio.sleep(self._restart_delay_s())
        try:
            fresh = await self._start(wanted)
            try:
                ready = await fresh.until_ready()
                if not ready.golden_passed:
                    raise WorkerError(f"golden set: {ready.reason}")
                await fresh.serve()
            except BaseException:  # a cancellation too must leave no half-started process behind
                fresh.kill()
                raise
        except AgentError as error:
            self._failures += 1
            self._listener.on_crash(wanted.release, str(error))
            self._wake.set()
            return
        self._take_over(fresh)

    def _take_over(self, fresh: Worker | None) -> None:
        old, self.serving = self.serving, fresh
        self._served_since_s = time.monotonic()
        if old is not None and not old.has_ended:
            self._task_group().start_soon(old.drain)
        self._listener.on_change()

    async def _start(self, installed: Installed) -> Worker:
        process = await self._launcher.start(self.model, installed.folder, installed.target)
        worker = Worker(installed, process, self._patience, self._listener.on_window)
        self._task_group().start_soon(self._follow, worker)
        return worker

    async def _follow(self, worker: Worker) -> None:
        await worker.run()
        if worker is self.serving:
            if time.monotonic() - self._served_since_s > STEADY_S:
                self._failures = 0
            self._failures += 1
            self.restarts += 1
            self._listener.on_crash(worker.installed.release, worker.end_reason)
            self._wake.set()
            self._listener.on_change()

    def _restart_delay_s(self) -> float:
        if not self._failures:
            return 0.0
        chance = random.random()  # noqa: S311 - spreads load
        return delay_s(self._failures, chance, first_s=FIRST_RESTART_S, longest_s=LONGEST_RESTART_S)

    def _task_group(self) -> TaskGroup:
        assert self._workers is not None  # `run` is running
        return self._workers
