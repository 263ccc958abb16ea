"""Keeps one model served: starts its workers, restarts those that crash or hang, relieves those that grow, and hands over without a gap."""

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
from agent.control.worker import Ears, Patience, Worker
from agent.core.alarm import Alarm, Trouble
from agent.core.backoff import delay_s
from agent.core.ledger import Ledger
from agent.core.relief import Relief
from agent.core.sight import Sight
from agent.errors import AgentError, WorkerError
from agent.worker_link import Pulse, Ready
from contracts.messages import InferenceWindow, ReleaseRef
from contracts.shadow import ShadowPart, joined_part

FIRST_RESTART_S, LONGEST_RESTART_S = 0.2, 60.0
# What a start takes beside the worker's own time to get ready: the wait before it, and draining what is not needed.
START_S = 300.0


@dataclass(frozen=True)
class Listener:
    """Who is told what workers do."""

    on_crash: Callable[[ReleaseRef, str], None]
    on_alarm: Callable[[ReleaseRef, Alarm], None]
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
        self.ledger = Ledger()
        self._launcher = launcher
        self._listener = listener
        self._patience = patience
        self._ears = Ears(self._on_window, self._on_pulse, self._on_compared)
        # The candidate is no successor yet: whoever serves is looked after as ever.
        self.is_shadowing = False
        self._compared: ShadowPart | None = None
        self._wanted: Installed | None = None
        self._trouble = Trouble()
        self._relief = Relief()
        # The worker that was started under other terms than hold now, and why its successor did not come up.
        self._outdated: Worker | None = None
        self.refit_failure = ""
        self._sight = Sight()
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
        self._begin_anew()
        self._attempt.cancel()  # whatever is being started may be another one
        self._wake.set()

    def refit(self, patience: Patience) -> None:
        """Have a worker serve that was started under the terms that hold from now on; the one before serves until then."""
        self._patience = patience
        self._outdated, self.refit_failure = self.serving, ""
        self._relief = Relief()
        self._attempt.cancel()  # whatever is being started was told the terms before
        self._wake.set()

    @property
    def is_fit(self) -> bool:
        """Say whether what serves was started under the terms that hold now."""
        return self.state == "serving" and self.serving is not self._outdated

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
            self._begin_anew()
            self._take_over(candidate)

    async def replace(self) -> Worker:
        """Let a fresh worker take over from the one that serves, which does so until then; raise WorkerError, upon which it serves on."""
        if self.candidate is not None and not self.is_shadowing:
            raise WorkerError("expected no update under way, found a candidate; it brings a fresh worker by itself")
        self._attempt.cancel()
        async with self._hands:
            # Should this fail where nobody serves, the model must be looked after again.
            self._wake.set()
            wanted, worker = self._wanted, self.serving
            if wanted is None:
                raise WorkerError("expected a release that serves, found none")
            with anyio.CancelScope() as self._attempt:
                fresh = await self._bring_up(wanted, provider="" if worker is None or worker.ready is None else worker.ready.provider)
                self._begin_anew()
                self._take_over(fresh)
                return fresh
        raise WorkerError("expected to be left alone, found another release or a stop that went first")

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
        if wanted is None:
            self._take_over(None)
        elif worker is None or worker.installed != wanted:
            await self._restart(wanted)
        elif self._is_relief_due(worker):
            await self._relieve(worker)

    async def _restart(self, wanted: Installed) -> None:
        if self._trouble.failures:
            await asyncio.sleep(delay_s(self._trouble.failures, _chance(), first_s=FIRST_RESTART_S, longest_s=LONGEST_RESTART_S))
        try:
            fresh = await self._bring_up(wanted)
        except AgentError as error:
            self._fail(wanted.release, str(error))
            self._wake.set()
        else:
            self._take_over(fresh)

    async def _relieve(self, worker: Worker) -> None:
        """Replace a worker in good order: it serves until another one does."""
        now_s = time.monotonic()
        self._relief = self._relief.tried(now_s, now_s - self._served_since_s, _chance())
        release = worker.installed.release
        reason = worker.tiredness or "its settings have changed"
        self._listener.on_alarm(release, Alarm("warning" if worker.tiredness else "info", "tired", f"is being replaced: {reason}"))
        try:
            # An accelerator that one process holds may leave the next one to the CPU; that would be no relief.
            fresh = await self._bring_up(worker.installed, provider="" if worker.ready is None else worker.ready.provider)
        except AgentError as error:
            self.refit_failure = str(error)
            self._listener.on_alarm(release, Alarm("warning", "tired", f"serves on, because its replacement failed: {error}"))
        else:
            self._take_over(fresh)
            self._listener.on_alarm(release, Alarm("info", "up", "was replaced without a gap"))

    async def _bring_up(self, installed: Installed, provider: str = "") -> Worker:
        fresh = await self._start(installed)
        try:
            ready = await fresh.until_ready()
            if not ready.golden_passed:
                raise WorkerError(f"golden set: {ready.reason}")
            if provider not in ("", ready.provider):
                raise WorkerError(f"provider: expected {provider}, found {ready.provider}")
            await fresh.serve()
        except BaseException:  # a cancellation too must leave no half-started process behind
            fresh.kill()
            raise
        return fresh

    def _take_over(self, fresh: Worker | None) -> None:
        old, self.serving = self.serving, fresh
        self._served_since_s = time.monotonic()
        if old is not None and not old.has_ended:
            self._task_group().start_soon(old.drain)
        if fresh is not None:
            self._believe(fresh)
            if fresh.has_ended:
                self._lose(fresh)  # between its last word and now
        self._listener.on_change()

    async def _start(self, installed: Installed) -> Worker:
        process = await self._launcher.start(self.model, installed.folder, installed.target)
        worker = Worker(installed, process, self._patience, self._ears)
        self._task_group().start_soon(self._follow, worker)
        return worker

    async def _follow(self, worker: Worker) -> None:
        await worker.run()
        if worker is self.serving:
            self._lose(worker)
            self._listener.on_change()

    def _lose(self, worker: Worker) -> None:
        self.serving = None
        self.restarts += 1
        self._fail(worker.installed.release, worker.end_reason)
        self._wake.set()

    def _fail(self, release: ReleaseRef, reason: str) -> None:
        self._trouble, alarm = self._trouble.failed(reason)
        if alarm is not None:
            self._listener.on_alarm(release, alarm)
        self._listener.on_crash(release, reason)

    def _on_pulse(self, worker: Worker) -> None:
        if worker is self.serving and worker.installed == self._wanted:
            self._believe(worker)
            self._look_at_sight(worker)
            if self._is_relief_due(worker):
                self._wake.set()

    def _look_at_sight(self, worker: Worker) -> None:
        self._sight, alarm = self._sight.seen(None if worker.pulse is None else worker.pulse.source)
        if alarm is not None:
            self._listener.on_alarm(worker.installed.release, alarm)

    def _is_relief_due(self, worker: Worker) -> bool:
        is_due = bool(worker.tiredness) or worker is self._outdated
        is_free = self.candidate is None or self.is_shadowing
        return is_due and is_free and time.monotonic() >= self._relief.due_s

    def _believe(self, worker: Worker) -> None:
        self._trouble, alarm = self._trouble.served(time.monotonic() - self._served_since_s)
        if alarm is not None:
            self._listener.on_alarm(worker.installed.release, alarm)

    def _on_window(self, window: InferenceWindow) -> None:
        self.ledger.note(window)
        part, self._compared = self._compared, None
        self._listener.on_window(window if part is None else window.model_copy(update={"shadow": part}))

    def _on_compared(self, part: ShadowPart) -> None:
        # The next window of who serves takes it along: without requests there is nothing to compare.
        self._compared = joined_part(self._compared, part)

    def _begin_anew(self) -> None:
        self._trouble = self._trouble.forgiven()
        self._relief = Relief()

    def _task_group(self) -> TaskGroup:
        assert self._workers is not None  # `run` is running
        return self._workers


def _chance() -> float:
    return random.random()  # noqa: S311 - spreads load
