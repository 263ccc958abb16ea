"""The worker processes of one model: starts them, follows each to its end, and knows which one serves and for how long nobody does."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import TypeVar

import anyio
from anyio.abc import TaskGroup

from agent.control.delivery import Installed
from agent.control.ports.workers import Launcher
from agent.control.voice import Listener, Voice
from agent.control.worker import Ears, Patience, Worker
from agent.core.alarm import Alarm
from agent.core.backoff import delay_s
from agent.core.ledger import Ledger
from agent.core.pause import candidate_s, refusal
from agent.errors import PauseError, WorkerError
from contracts.messages import InferenceWindow
from contracts.shadow import ShadowPart, joined_part

FIRST_RESTART_S, LONGEST_RESTART_S = 0.2, 60.0
Result = TypeVar("Result")


@dataclass(frozen=True)
class Foreman:
    """Who decides what is to be done about it."""

    on_lost: Callable[[], None]
    on_pulse: Callable[[Worker], None]


class Crew:
    """The serving worker, and whoever is on its way to be one."""

    def __init__(self, model: str, launcher: Launcher, listener: Listener, foreman: Foreman) -> None:
        """Start workers of `model` by `launcher`."""
        self.serving: Worker | None = None
        self.restarts = 0
        self.ledger = Ledger()
        self.voice = Voice(listener)
        # Where all workers are followed, once somebody gives it.
        self.tasks: TaskGroup | None = None
        self._model = model
        self._launcher = launcher
        self._foreman = foreman
        self._ears = Ears(self._on_window, self._on_pulse, self._on_compared)
        # What a candidate beside the serving worker told since the last window.
        self._compared: ShadowPart | None = None
        self._served_since_s = 0.0
        # Since when nobody serves, because the one that did made way.
        self._paused_since_s: float | None = None

    @property
    def served_s(self) -> float:
        """Return how long the present worker has served."""
        return time.monotonic() - self._served_since_s

    @property
    def wait_s(self) -> float:
        """Return how long to wait before another start, after those that failed."""
        failures, chance = self.voice.failures, random.random()  # noqa: S311 - spreads load
        return delay_s(failures, chance, first_s=FIRST_RESTART_S, longest_s=LONGEST_RESTART_S) if failures else 0.0

    async def start(self, installed: Installed, patience: Patience) -> Worker:
        """Start a worker, which does not serve yet; raise AgentError."""
        process = await self._launcher.start(self._model, installed.folder, installed.target)
        worker = Worker(installed, process, patience, self._ears)
        self._group().start_soon(self._follow, worker)
        return worker

    async def bring_up(self, installed: Installed, patience: Patience, provider: str = "") -> Worker:
        """Start a worker that serves once this returns, on `provider` if one is named; raise AgentError."""
        fresh = await self.start(installed, patience)
        try:
            await fresh.come_up(provider)
        except BaseException:  # a cancellation too must leave no half-started process behind; it is raised again
            fresh.kill()
            raise
        return fresh

    def take_over(self, fresh: Worker | None) -> None:
        """Let this one be the worker that serves, or nobody; the one before drains."""
        old, self.serving = self.serving, fresh
        self._served_since_s = time.monotonic()
        if old is not None and not old.has_ended:
            self._group().start_soon(old.drain)
        if fresh is not None:
            self._end_pause(fresh)
            self._believe(fresh)
            if fresh.has_ended:
                self._lose(fresh)  # between its last word and now
        self.voice.change()

    async def make_way(self) -> None:
        """End the worker that serves, and wait until it let go of what it holds; callers wait in the sockets' queue."""
        old, self.serving = self.serving, None
        if old is not None:
            self._paused_since_s = time.monotonic()
            self.voice.change()
            await old.end()

    def holder(self, installed: Installed) -> Worker | None:
        """Return the worker that serves if it holds what a release needs, and nobody else can have."""
        worker = self.serving
        is_holder = worker is not None and worker.is_exclusive and worker.installed.target == installed.target
        return worker if is_holder else None

    async def lend(self, holder: Worker, patience: Patience, work: Callable[[], Awaitable[Result]]) -> Result:
        """Do something with what `holder` has alone, which makes way for it as long as policy allows; raise WorkerError."""
        left_s = pause_left_s(holder, patience)
        await self.make_way()
        try:
            with anyio.fail_after(left_s):
                return await work()
        except TimeoutError as error:
            raise WorkerError(
                f"expected an end within {left_s:.1f} s, found none: update.max_pause_s allows a pause of {patience.pause_s:g} s, "
                f"of which {holder.came_up_s:.1f} s are for the way back"
            ) from error

    async def succeed(self, installed: Installed, patience: Patience) -> Worker:
        """Bring up a successor on what the worker that serves runs on: one that is left to the CPU would be no relief."""
        worker, holder = self.serving, self.holder(installed)
        if holder is not None:
            pause_left_s(holder, patience)
            await self.make_way()
        return await self.bring_up(installed, patience, "" if worker is None or worker.ready is None else worker.ready.provider)

    def beside(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Have something done for as long as workers are supervised."""
        self._group().start_soon(work)

    def believe(self, worker: Worker) -> None:
        """Take note of a sign of life of the worker that serves."""
        self._believe(worker)
        self.voice.look(worker.installed.release, worker.pulse)

    async def drain(self) -> None:
        """Have nobody serve any more, in good order."""
        old, self.serving, self._paused_since_s = self.serving, None, None
        if old is not None:
            await old.drain()

    async def _follow(self, worker: Worker) -> None:
        await worker.run()
        if worker is self.serving:
            self._lose(worker)
            self.voice.change()

    def _lose(self, worker: Worker) -> None:
        self.serving = None
        self.restarts += 1
        self.voice.fail(worker.installed.release, worker.end_reason)
        self._foreman.on_lost()

    def _end_pause(self, fresh: Worker) -> None:
        if self._paused_since_s is not None:
            pause_s, self._paused_since_s = time.monotonic() - self._paused_since_s, None
            text = f"serves after a pause of {pause_s:.1f} s: its accelerator is one process's alone"
            self.voice.tell(fresh.installed.release, Alarm("info", "resumed", text, pause_s))

    def _believe(self, worker: Worker) -> None:
        self.voice.serve(worker.installed.release, self.served_s)

    def _on_pulse(self, worker: Worker) -> None:
        self._foreman.on_pulse(worker)

    def _on_window(self, window: InferenceWindow) -> None:
        self.ledger.note(window)
        part, self._compared = self._compared, None
        self.voice.window(window if part is None else window.model_copy(update={"shadow": part}))

    def _on_compared(self, part: ShadowPart) -> None:
        # The next window of who serves takes it along: without requests there is nothing to compare.
        self._compared = joined_part(self._compared, part)

    def _group(self) -> TaskGroup:
        assert self.tasks is not None  # whoever supervises is running
        return self.tasks


def pause_left_s(holder: Worker, patience: Patience) -> float:
    """Return for how long another worker may hold what `holder` holds; raise PauseError where policy allows no such pause."""
    left_s = candidate_s(patience.pause_s, holder.came_up_s)
    if left_s <= 0:
        provider = "" if holder.ready is None else holder.ready.provider
        raise PauseError(refusal(provider, patience.pause_s, holder.came_up_s))
    return left_s
