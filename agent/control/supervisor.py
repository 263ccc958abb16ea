"""Keeps one model served: restarts workers that crash or hang, relieves those that grow, and hands over without a gap where that can be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Literal, TypeVar

import anyio
from anyio.abc import TaskStatus

from agent.control.crew import Crew, Foreman, pause_left_s
from agent.control.delivery import Installed
from agent.control.hands import Hands
from agent.control.ports.workers import Launcher
from agent.control.promise import Promise
from agent.control.relieving import Relieving
from agent.control.voice import Listener
from agent.control.worker import Patience, Worker
from agent.core.ledger import Ledger
from agent.errors import AgentError, PauseError, WorkerError
from agent.worker_link import Pulse, Ready

# What a start takes beside the worker's own time to get ready: the wait before it, and draining what is not needed.
START_S = 300.0
Result = TypeVar("Result")


class Supervisor:
    """The workers of one model: the serving one, and at times a candidate."""

    def __init__(self, model: str, launcher: Launcher, listener: Listener, patience: Patience) -> None:
        """Supervise `model`; `run` must be running for all else to work."""
        self.model = model
        self.promise = Promise(f"supervisor of {model}")
        self.candidate: Worker | None = None
        self._wake = asyncio.Event()
        self._crew = Crew(model, launcher, listener, Foreman(self._wake.set, self._on_pulse))
        self._patience = patience
        # The candidate is no successor yet: whoever serves is looked after as ever.
        self.is_shadowing = False
        self._wanted: Installed | None = None
        self._relieving = Relieving(self._crew)
        # Nobody is to serve until the candidate does, or is discarded: it holds what the worker that serves would need.
        self._has_made_way = False
        self._hands = Hands()
        # What the worker that serves holds alone is with somebody else, until it is back.
        self._lent = asyncio.Lock()

    @property
    def serving(self) -> Worker | None:
        """Return the worker that serves."""
        return self._crew.serving

    @property
    def restarts(self) -> int:
        """Return how often a worker that served was lost."""
        return self._crew.restarts

    @property
    def ledger(self) -> Ledger:
        """Return what workers told of their work."""
        return self._crew.ledger

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
        async with anyio.create_task_group() as self._crew.tasks:
            task_status.started()
            while True:
                await self._wake.wait()
                self._wake.clear()
                async with self._hands.attempting():
                    with self.promise.within(self._patience.ready_s + START_S):
                        await self._reconcile()

    def want(self, installed: Installed | None) -> None:
        """Have this release serve as soon as it can; the one before serves until then."""
        self._wanted = installed
        self._begin_anew()
        self._hands.let_go()  # whatever is being started may be another one
        self._wake.set()

    def refit(self, patience: Patience) -> None:
        """Have a worker serve that was started under the terms that hold from now on; the one before serves until then."""
        self._patience = patience
        self._relieving.outdate()
        self._hands.let_go()  # whatever is being started was told the terms before
        self._wake.set()

    @property
    def is_fit(self) -> bool:
        """Say whether what serves was started under the terms that hold now."""
        return self.state == "serving" and self._relieving.is_fit(self.serving)

    @property
    def refit_failure(self) -> str:
        """Return why the worker that serves was not replaced by one that is fit; empty where nothing failed."""
        return self._relieving.refit_failure

    async def test(self, installed: Installed, *, may_make_way: bool = True) -> Ready:
        """Start a candidate beside the serving worker for the golden set; raise AgentError.

        Where only one can be it comes in the other's place, unless that must not make way: a shadow disturbs nobody.
        """
        await self.discard()
        with anyio.move_on_after(self._patience.pause_s):
            async with self._lent:  # whatever is on trial there first has no more than a pause
                pass
        holder = self._crew.holder(installed)
        if holder is not None and not may_make_way:
            raise WorkerError("shadow: expected an accelerator that two processes can open, found one that the serving worker holds alone")
        if holder is not None:
            return await self._test_in_a_pause(installed, holder)
        self.candidate = await self._crew.start(installed, self._patience)
        return await self.candidate.until_ready()

    async def switch(self) -> None:
        """Let the candidate take over, then the old worker drain; raise WorkerError, upon which the old one still serves."""
        async with self._hands.busy():
            candidate = self.candidate
            # Should the candidate fail here, whoever served before must be looked after again.
            self._wake.set()
            if candidate is None:
                raise WorkerError("expected a tested candidate, found none")
            await candidate.serve()
            self.candidate, self._has_made_way = None, False
            self._wanted = candidate.installed
            self._begin_anew()
            self._crew.take_over(candidate)

    async def replace(self) -> Worker:
        """Let a fresh worker take over from the one that serves, which does so until then; raise WorkerError, upon which it serves on."""
        if self.candidate is not None and not self.is_shadowing:
            raise WorkerError("expected no update under way, found a candidate; it brings a fresh worker by itself")
        return await self._hands.attempt(self._replace)

    async def lend(self, installed: Installed, work: Callable[[], Awaitable[Result]]) -> Result:
        """Do something with what a release runs on: in a pause, where the worker that serves holds that alone; raise WorkerError.

        Callers wait in the sockets' queue meanwhile, and the worker is back before this returns.
        """
        if self._crew.holder(installed) is None:
            return await work()
        if self.candidate is not None and not self.is_shadowing:
            raise PauseError("expected no update under way, found one, which needs what the worker that serves holds alone")
        async with self._lent:
            return await self._hands.attempt(partial(self._lend, installed, work))

    async def discard(self) -> None:
        """End the candidate, if there is one; whoever made way for it comes back."""
        candidate, self.candidate = self.candidate, None
        if candidate is not None:
            await (candidate.end() if self._has_made_way else candidate.drain())
        if self._has_made_way:
            self._has_made_way = False
            self._wake.set()

    async def drain(self) -> None:
        """Stop serving in good order."""
        self._wanted = None
        async with self._hands.busy():
            await self._crew.drain()
        await self.discard()

    async def _reconcile(self) -> None:
        worker, wanted = self.serving, self._wanted
        if wanted is None:
            self._crew.take_over(None)
        elif self._has_made_way:
            return
        elif worker is None or worker.installed != wanted:
            await self._restart(wanted)
        elif self._is_relief_due(worker) and not await self._relieving.relieve(worker, self._patience):
            self._wake.set()  # should nobody serve now

    async def _replace(self) -> Worker:
        # Should this fail where nobody serves, the model must be looked after again.
        self._wake.set()
        if self._wanted is None:
            raise WorkerError("expected a release that serves, found none")
        fresh = await self._crew.succeed(self._wanted, self._patience)
        self._begin_anew()
        self._crew.take_over(fresh)
        return fresh

    async def _lend(self, installed: Installed, work: Callable[[], Awaitable[Result]]) -> Result:
        holder = self._crew.holder(installed)
        if holder is None:
            return await work()
        # Should this have to give way, the model must be looked after again.
        self._wake.set()
        try:
            return await self._crew.lend(holder, self._patience, work)
        finally:
            await self._reconcile()

    async def _restart(self, wanted: Installed) -> None:
        await asyncio.sleep(self._crew.wait_s)
        try:
            if self._crew.holder(wanted) is not None:
                await self._crew.make_way()  # what serves is not wanted any more
            fresh = await self._crew.bring_up(wanted, self._patience)
        except AgentError as error:
            self._crew.voice.fail(wanted.release, str(error))
            self._wake.set()
        else:
            self._crew.take_over(fresh)

    async def _test_in_a_pause(self, installed: Installed, holder: Worker) -> Ready:
        due_s = time.monotonic() + pause_left_s(holder, self._patience)
        self._has_made_way = True
        try:
            async with self._hands.busy():
                await self._crew.make_way()
            self.candidate = await self._crew.start(installed, self._patience)
            self._crew.beside(partial(self._bound, self.candidate, due_s))
            ready = await self.candidate.until_ready()
        except BaseException:  # a cancellation too must let the one before serve again; it is raised again
            with anyio.CancelScope(shield=True):  # ends soon after the process is killed
                await self.discard()
            raise
        if not ready.golden_passed:
            await self.discard()
        return ready

    async def _bound(self, candidate: Worker, due_s: float) -> None:
        """End a candidate that does not serve in time, so that the worker that made way for it is back within the pause."""
        await asyncio.sleep(due_s - time.monotonic())
        if self.candidate is candidate and self._has_made_way:
            candidate.condemn(f"it did not serve within the pause of {self._patience.pause_s:g} s that update.max_pause_s allows")
            await self.discard()

    def _on_pulse(self, worker: Worker) -> None:
        if worker is self.serving and worker.installed == self._wanted:
            self._crew.believe(worker)
            if self._is_relief_due(worker):
                self._wake.set()

    def _is_relief_due(self, worker: Worker) -> bool:
        is_free = self.candidate is None or self.is_shadowing
        return is_free and self._relieving.is_due(worker)

    def _begin_anew(self) -> None:
        self._crew.voice.forgive()
        self._relieving.begin_anew()
