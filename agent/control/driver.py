"""Drives one update machine, whatever its releases are: takes events, saves the new state, then makes it true."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Mapping
from typing import Protocol

import anyio
from anyio.abc import TaskGroup

from agent.control.clock import Clock
from agent.control.promise import Promise
from agent.control.reporter import utc_now
from agent.control.workbench import Deed, Workbench
from agent.core.backoff import delay_s
from agent.core.update import Do, Done, Effect, Event, Failed, Progressed, Update, leave, resume, step
from agent.core.update.inbox import filed, without_work
from agent.core.update.step import Next
from agent.errors import AgentError, StateError
from contracts.lifecycle import IN_PROGRESS, Phase
from contracts.messages import ReleaseRef

# How long work that must not stop half way may take to its end, and a disk to take a few hundred bytes.
END_S, SAVE_S = 300.0, 120.0
FIRST_SAVE_AGAIN_S = 1.0
LONGEST_SAVE_AGAIN_S = 60.0

log = logging.getLogger(__name__)


class Owner(Protocol):
    """Whose releases they are."""

    def save(self, update: Update) -> None:
        """Keep a state, on any thread; raise StateError."""

    def tell(self, before: Update, update: Update) -> None:
        """Hear that a state was saved and is ours now."""

    def hold(self, update: Update, reason: str) -> None:
        """Hear that the machine stays as it is, because the disk does not take the next state."""

    async def make_room(self, release: ReleaseRef) -> None:
        """Clear away what came for a release that is over."""

    async def serve_unsaved(self, update: Update) -> None:
        """Go on with what is committed, although the disk does not take that we started."""

    @property
    def serving(self) -> ReleaseRef | None:
        """Return which release is at work."""


class Driver:
    """One machine, from the state that was saved last on."""

    def __init__(self, name: str, update: Update, clock: Clock, owner: Owner, deeds: Mapping[Do, Deed]) -> None:
        """Drive the machine of `name`, whose deeds are `deeds`."""
        self.name = name
        self.promise = Promise(f"updater of {name}")
        self.update = update
        self.clock = clock
        self._owner = owner
        self._bench = Workbench(name, deeds)
        self._events: tuple[Event, ...] = ()
        self._news = asyncio.Event()
        self._following = anyio.CancelScope()
        self._saving = anyio.Lock()

    async def run(self, tasks: TaskGroup, resumed: Next | None = None) -> None:
        """Go on with what was under way, then follow events; what is `resumed` was saved already."""
        with self._following:
            update, effects = resumed or resume(self.update, utc_now())
            if update != self.update and not await self._adopt(update):
                # A disk that takes nothing must not keep a device from its work.
                await self._owner.serve_unsaved(update)
            self.clock.begin(update.phase)
            await self._move(tasks, update, effects)
            while True:
                event = await self._next_event()
                await self._move(tasks, *step(self.update, event, utc_now()))

    async def leave(self) -> None:
        """Follow no events any more, and note that the agent ends in good order."""
        self._following.cancel()
        async with self._saving:
            update = leave(self.update)
            if update != self.update:
                try:
                    await anyio.to_thread.run_sync(self._owner.save, update)
                except StateError as error:
                    log.error("%s: %s; the next start counts as one after a death", self.name, error)

    def hear(self, event: Event) -> None:
        """Let the machine hear of something, in its turn."""
        self._events = filed(self._events, event)
        self._news.set()

    def progress(self) -> None:
        """Wait on for the rest of the phase's work: some of it is done."""
        self.clock.renew()
        if self.update.waited_s and self.update.candidate is not None:
            self.hear(Progressed(self.update.candidate, self.update.phase))

    async def attempt(self, release: ReleaseRef, phase: Phase, work: Awaitable[None]) -> None:
        """Do a phase's work, and let the machine hear how it ended."""
        try:
            await work
        except AgentError as error:
            self.hear(Failed(release, phase, str(error)))
        else:
            self.hear(Done(release, phase))

    @property
    def is_at_rest(self) -> bool:
        """Say whether no update is under way."""
        return self.update.phase not in IN_PROGRESS

    async def _next_event(self) -> Event:
        while True:
            with anyio.move_on_after(self.clock.pause_s(self.update)):
                while not self._events:
                    self._news.clear()
                    await self._news.wait()
                event, *rest = self._events
                self._events = tuple(rest)
                return event
            due = self.clock.due(self.update, self._owner.serving)
            if due is not None:
                return due

    async def _move(self, tasks: TaskGroup, update: Update, effects: list[Effect]) -> None:
        if effects:
            with self.promise.within(END_S):
                await self._bench.clear()
            self._events = without_work(self._events)
        failures = 0
        while update != self.update and not await self._adopt(update):
            failures += 1
            if self.update.candidate is not None and update.candidate is None:
                # What came for a release that is over may be what fills the disk.
                await self._owner.make_room(self.update.candidate)
            chance = random.random()  # noqa: S311 - spreads load
            await asyncio.sleep(delay_s(failures, chance, first_s=FIRST_SAVE_AGAIN_S, longest_s=LONGEST_SAVE_AGAIN_S))
        if effects:
            self._bench.begin(tasks, effects)

    async def _adopt(self, update: Update) -> bool:
        """Save a state and then make it ours; say whether the disk took it."""
        before = self.update
        try:
            async with self._saving:
                with self.promise.within(SAVE_S):
                    await anyio.to_thread.run_sync(self._owner.save, update)
                self.update = update
        except StateError as error:
            self._owner.hold(before, str(error))
            return False
        if (update.phase, update.candidate, update.attempt) != (before.phase, before.candidate, before.attempt):
            self.clock.begin(update.phase)
        self._owner.tell(before, update)
        return True
