"""Drives one model's update machine: takes events, saves the new state, then makes it true."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup

from agent.control.clock import Clock
from agent.control.delivery import Delivery, Installed
from agent.control.engines import Engines
from agent.control.herald import Herald
from agent.control.ports.files import Store
from agent.control.ports.machine import Thermometer
from agent.control.ports.workers import Launcher
from agent.control.probation import Probation
from agent.control.promise import Promise
from agent.control.reporter import Reporter, utc_now
from agent.control.supervisor import Listener, Supervisor
from agent.control.wishes import Wish
from agent.control.workbench import Workbench
from agent.control.worker import Patience
from agent.core.backoff import delay_s
from agent.core.preflight import Refusal
from agent.core.probation import Limits
from agent.core.update import (
    Crashed,
    Damaged,
    Disproved,
    Do,
    Done,
    Effect,
    Event,
    Failed,
    Progressed,
    Unsuitable,
    Update,
    Wished,
    leave,
    resume,
    step,
)
from agent.core.update.inbox import filed, without_work
from agent.errors import AgentError, FetchError, GoldenSetError, StateError, UnsuitableReleaseError
from contracts.lifecycle import IN_PROGRESS, Phase
from contracts.messages import ReleaseRef

# How long work that must not stop half way may take to its end, and a disk to take a few hundred bytes.
END_S, SAVE_S = 300.0, 120.0
FIRST_SAVE_AGAIN_S = 1.0
LONGEST_SAVE_AGAIN_S = 60.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Workshop:
    """What the updaters of all models share."""

    store: Store
    delivery: Delivery
    engines: Engines
    launcher: Launcher
    reporter: Reporter
    probation_s: float
    limits: Limits
    thermometer: Thermometer
    patience: Patience


class Updater:
    """One model on this device."""

    def __init__(self, model: str, shop: Workshop) -> None:
        """Take up a model that is known or was just wished for."""
        self.model = model
        self._herald = Herald(model, shop.reporter)
        listener = Listener(self._on_crash, self._herald.alarm, shop.reporter.window, self.report)
        self.supervisor = Supervisor(model, shop.launcher, listener, shop.patience)
        self.promise = Promise(f"updater of {model}")
        self._shop = shop
        self._update = shop.store.load(model)
        self._clock = Clock(shop.probation_s)
        self._events: tuple[Event, ...] = ()
        self._news = asyncio.Event()
        self._following = anyio.CancelScope()
        self._saving = anyio.Lock()
        self._bench = Workbench(
            model,
            {
                Do.SERVE: self._serve,
                Do.FETCH: self._fetch,
                Do.STAGE: self._stage,
                Do.START_CANDIDATE: self._start_candidate,
                Do.SWITCH: self._switch,
                Do.START_PROBATION: self._watch,
                Do.COMMIT: self._tidy,
                Do.DISCARD: self._discard,
                Do.ROLL_BACK: self._roll_back,
            },
        )

    def wish(self, wish: Wish | None, generation: int) -> None:
        """Take what the fleet's newest document wants of this model."""
        self._hear(Wished(None, 0, generation) if wish is None else Wished(wish.release, wish.manifest_bytes, generation))

    async def run(self) -> None:
        """Serve what is committed, go on with what was under way, then follow events."""
        async with anyio.create_task_group() as tasks:
            await tasks.start(self.supervisor.run)
            with self._following:
                await self._resume(tasks)
                while True:
                    event = await self._next_event()
                    await self._move(tasks, *step(self._update, event, utc_now()))

    async def leave(self) -> None:
        """Stop serving in good order; `run` follows no events any more."""
        self._following.cancel()
        async with self._saving:
            update = leave(self._update)
            if update != self._update:
                try:
                    await anyio.to_thread.run_sync(self._shop.store.save, self.model, update)
                except StateError as error:
                    log.error("%s: %s; the next start counts as one after a death", self.model, error)
        await self.supervisor.drain()

    def report(self) -> None:
        """Tell the fleet where the model stands."""
        self._herald.report(self._update, self.supervisor.target, self._shop.launcher.endpoint(self.model))

    async def _resume(self, tasks: TaskGroup) -> None:
        update, effects = resume(self._update, utc_now())
        if update != self._update and not await self._adopt(update):
            # A disk that takes nothing must not keep a device from its work.
            self.supervisor.want(await self._committed(update))
        self._clock.begin(update.phase)
        await self._move(tasks, update, effects)

    async def _next_event(self) -> Event:
        while True:
            with anyio.move_on_after(self._clock.pause_s(self._update)):
                while not self._events:
                    self._news.clear()
                    await self._news.wait()
                event, *rest = self._events
                self._events = tuple(rest)
                return event
            worker = self.supervisor.serving
            due = self._clock.due(self._update, None if worker is None else worker.installed.release)
            if due is not None:
                return due

    async def _move(self, tasks: TaskGroup, update: Update, effects: list[Effect]) -> None:
        if effects:
            with self.promise.within(END_S):
                await self._bench.clear()
            self._events = without_work(self._events)
        failures = 0
        while update != self._update and not await self._adopt(update):
            failures += 1
            if self._update.candidate is not None and update.candidate is None:
                # What came for a release that is over may be what fills the disk.
                await self._shop.delivery.tidy(self._update.candidate)
            chance = random.random()  # noqa: S311 - spreads load
            await asyncio.sleep(delay_s(failures, chance, first_s=FIRST_SAVE_AGAIN_S, longest_s=LONGEST_SAVE_AGAIN_S))
        if effects:
            self._bench.begin(tasks, effects)

    async def _adopt(self, update: Update) -> bool:
        """Save a state and then make it ours; say whether the disk took it."""
        before = self._update
        try:
            async with self._saving:
                with self.promise.within(SAVE_S):
                    await anyio.to_thread.run_sync(self._shop.store.save, self.model, update)
                self._update = update
        except StateError as error:
            self._herald.hold(before.phase, str(error))
            self.report()
            return False
        if (update.phase, update.candidate, update.attempt) != (before.phase, before.candidate, before.attempt):
            self._clock.begin(update.phase)
        self._herald.go_on(update.phase)
        self._herald.tell(before, update)
        self.report()
        return True

    def _on_crash(self, release: ReleaseRef, reason: str) -> None:
        self._clock.disturb()
        self._hear(Crashed(release, reason))

    def disprove(self, manifest_sha256: str, reason: str) -> None:
        """Hear that a worker failed the golden set; it is a candidate's own affair, or a restart's while an older worker serves on."""
        current, serving = self._update.current, self.supervisor.serving
        if current is not None and current.manifest_sha256 == manifest_sha256 and (serving is None or serving.has_ended):
            self._hear(Disproved(current, reason))

    @property
    def is_at_rest(self) -> bool:
        """Say whether no update is under way."""
        return self._update.phase not in IN_PROGRESS

    def _hear(self, event: Event) -> None:
        self._events = filed(self._events, event)
        self._news.set()

    def on_progress(self, share: float) -> None:
        """Report what share of the phase's work is done, and wait on for the rest."""
        self._clock.renew()
        update = self._update
        if update.waited_s and update.candidate is not None:
            self._hear(Progressed(update.candidate, update.phase))
        if self._herald.is_news(share):
            self.report()

    def on_building(self, share: float, text: str) -> None:
        """Report how far the building of the release's engine is."""
        is_first = self._herald.build(text)
        self.on_progress(share)
        if is_first:
            self.report()

    def on_refusal(self, refusal: Refusal | None) -> None:
        """Report why the device does not take the release now, or that it does again."""
        self._herald.refuse(refusal)
        self.report()

    async def _serve(self, _: ReleaseRef) -> None:
        self.supervisor.want(await self._committed(self._update))

    async def _committed(self, update: Update) -> Installed | None:
        """Return the committed release as it lies on the disk; what stands in for it when it is damaged."""
        release, previous = update.current, update.previous
        if release is None:
            return None
        installed = await self._shop.delivery.at_hand(release)
        if installed is None:
            installed = None if previous is None else await self._shop.delivery.at_hand(previous)
            text = f"release {release.release} was damaged on disk; expected its digest {release.manifest_sha256}"
            self._shop.reporter.event("worker", "error", text, self.model)
            self._hear(Damaged(release, None if installed is None else installed.release))
        return installed

    async def _fetch(self, release: ReleaseRef) -> None:
        try:
            await self._shop.delivery.fetch(release, self._update.manifest_bytes, self)
        except UnsuitableReleaseError as error:
            self._hear(Unsuitable(release, str(error)))
        except AgentError as error:
            self._hear(Failed(release, Phase.FETCHING, str(error)))
        else:
            self._hear(Done(release, Phase.FETCHING))

    async def _stage(self, release: ReleaseRef) -> None:
        await self._try(release, Phase.STAGING, self._unpack_and_build(release))

    async def _unpack_and_build(self, release: ReleaseRef) -> None:
        installed = await self._shop.delivery.stage(release)
        await self._shop.engines.ensure(installed.folder, installed.target, self.on_building)

    async def _start_candidate(self, release: ReleaseRef) -> None:
        await self._try(release, Phase.TESTING, self._test(release))

    async def _switch(self, release: ReleaseRef) -> None:
        await self._try(release, Phase.SWITCHING, self.supervisor.switch())

    async def _watch(self, release: ReleaseRef) -> None:
        shop = self._shop
        probation = Probation(self.supervisor, shop.thermometer, shop.limits, shop.probation_s)
        await self._try(release, Phase.PROBATION, probation.watch(release, self._update.current))

    async def _try(self, release: ReleaseRef, phase: Phase, work: Awaitable[None]) -> None:
        try:
            await work
        except AgentError as error:
            self._hear(Failed(release, phase, str(error)))
        else:
            self._hear(Done(release, phase))

    async def _test(self, release: ReleaseRef) -> None:
        ready = await self.supervisor.test(await self._installed(release))
        if not ready.golden_passed:
            raise GoldenSetError(ready.golden_error, ready.golden_tolerance, ready.reason)

    async def _tidy(self, release: ReleaseRef) -> None:
        await self._shop.delivery.tidy(release)

    async def _discard(self, release: ReleaseRef) -> None:
        await self.supervisor.discard()
        await self._tidy(release)

    async def _roll_back(self, release: ReleaseRef) -> None:
        self.supervisor.want(await self._committed(self._update))
        await self._discard(release)

    async def _installed(self, release: ReleaseRef) -> Installed:
        installed = await self._shop.delivery.installed(release)
        if installed is None:
            raise FetchError(f"release {release.release}: expected its unpacked files, found them damaged")
        return installed
