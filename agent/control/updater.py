"""Drives one model's update machine: takes events, saves the new state, then makes it true."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

import anyio
from anyio.abc import TaskGroup

from agent.control.delivery import Delivery, Installed
from agent.control.ports.files import Store
from agent.control.ports.workers import Launcher
from agent.control.promise import Promise
from agent.control.reporter import Reporter, utc_now
from agent.control.supervisor import Listener, Supervisor
from agent.control.wishes import Wish
from agent.control.worker import Patience
from agent.core.preflight import Refusal
from agent.core.probation import Watch, verdict
from agent.core.update import Crashed, Damaged, Do, Done, Effect, Event, Failed, Unsuitable, Update, Wished, resume, step
from agent.errors import AgentError, FetchError, GoldenSetError, ProbationError, UnsuitableReleaseError
from contracts.lifecycle import FINAL, Phase
from contracts.messages import ModelReport, ReleaseRef

MAX_EVENTS = 256
PROBATION_POLL_S = 0.25
PROGRESS_STEP = 0.01
# How long work that must not stop half way may take to its end, and a disk to take a few hundred bytes.
END_S = 300.0
SAVE_S = 120.0
# Work that is pointless once the machine has moved on; all other work ends by itself, and must not stop half way.
INTERRUPTIBLE = frozenset({Do.FETCH, Do.STAGE, Do.START_CANDIDATE, Do.START_PROBATION})

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Workshop:
    """What the updaters of all models share."""

    store: Store
    delivery: Delivery
    launcher: Launcher
    reporter: Reporter
    probation_s: float
    patience: Patience


class Updater:
    """One model on this device."""

    def __init__(self, model: str, shop: Workshop) -> None:
        """Take up a model that is known or was just wished for."""
        self.model = model
        listener = Listener(self._on_crash, shop.reporter.window, self.report)
        self.supervisor = Supervisor(model, shop.launcher, listener, shop.patience)
        self.promise = Promise(f"updater of {model}")
        self._shop = shop
        self._update = shop.store.load(model)
        self._progress = 0.0
        # Why a download waits.
        self._refusal = ""
        self._events: asyncio.Queue[Event] = asyncio.Queue(maxsize=MAX_EVENTS)
        self._doing: Do | None = None
        self._work = anyio.CancelScope()
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._deeds: dict[Do, Callable[[ReleaseRef], Awaitable[None]]] = {
            Do.FETCH: self._fetch,
            Do.STAGE: self._stage,
            Do.START_CANDIDATE: self._start_candidate,
            Do.SWITCH: self._switch,
            Do.START_PROBATION: self._watch,
            Do.COMMIT: self._tidy,
            Do.DISCARD: self._discard,
            Do.ROLL_BACK: self._roll_back,
        }

    def wish(self, wish: Wish | None) -> None:
        """Take what the fleet wants of this model."""
        self._hear(Wished(None) if wish is None else Wished(wish.release, wish.manifest_bytes))

    async def run(self) -> None:
        """Serve what is committed, go on with what was under way, then follow events."""
        async with anyio.create_task_group() as tasks:
            await tasks.start(self.supervisor.run)
            await self._serve_committed(tasks)
            await self._move(tasks, *resume(self._update, utc_now()))
            while True:
                event = await self._events.get()
                await self._move(tasks, *step(self._update, event, utc_now()))

    def report(self) -> None:
        """Tell the fleet where the model stands."""
        update = self._update
        self._shop.reporter.report_model(
            self.model,
            ModelReport(
                phase=update.phase,
                reason=(self._refusal if update.phase is Phase.FETCHING else "") or update.reason,
                progress=round(self._progress, 2) if update.phase is Phase.FETCHING else 0.0,
                attempt=update.attempt,
                current=update.current,
                previous=update.previous,
                candidate=update.candidate,
                last=update.last,
                target=self.supervisor.target,
                endpoint=self._shop.launcher.endpoint(self.model),
            ),
        )

    async def _serve_committed(self, tasks: TaskGroup) -> None:
        current, previous = self._update.current, self._update.previous
        if current is None:
            return
        installed = await self._shop.delivery.installed(current)
        if installed is None:
            installed = None if previous is None else await self._shop.delivery.installed(previous)
            text = f"release {current.release} was damaged on disk; expected its digest {current.manifest_sha256}"
            self._shop.reporter.event("worker", "error", text, self.model)
            await self._move(tasks, *step(self._update, Damaged(None if installed is None else installed.release), utc_now()))
        self.supervisor.want(installed)

    async def _move(self, tasks: TaskGroup, update: Update, effects: list[Effect]) -> None:
        if effects:
            # The state must not change under work that belongs to the old one.
            if self._doing in INTERRUPTIBLE:
                self._work.cancel()
            with self.promise.within(END_S):
                await self._is_idle.wait()
        if update != self._update:
            before, self._update = self._update, update
            with self.promise.within(SAVE_S):
                await anyio.to_thread.run_sync(self._shop.store.save, self.model, update)
            self._tell(before)
        if effects:
            self._is_idle.clear()
            tasks.start_soon(self._perform, effects)

    async def _perform(self, effects: list[Effect]) -> None:
        try:
            with anyio.CancelScope() as self._work:
                for effect in effects:
                    self._doing = effect.do
                    await self._deeds[effect.do](effect.release)
        finally:
            self._doing = None
            self._is_idle.set()

    def _tell(self, before: Update) -> None:
        self._progress = 0.0
        self._refusal = ""
        self.report()
        update = self._update
        if update.last is not None and update.last != before.last:
            severity: Literal["info", "warning"] = "info" if update.last.result is Phase.COMMITTED else "warning"
            self._tell_phase(update.last.release, update.last.result, severity, update.last.reason)
        if update.phase is not before.phase and update.phase not in FINAL and update.candidate is not None:
            self._tell_phase(update.candidate, update.phase, "info", "")

    def _tell_phase(self, release: ReleaseRef, phase: Phase, severity: Literal["info", "warning"], reason: str) -> None:
        text = f"release {release.release} {phase.value}" + (f": {reason}" if reason else "")
        facts = {"phase": phase.value, "release": str(release.release), "manifest_sha256": release.manifest_sha256}
        self._shop.reporter.event("phase", severity, text, self.model, facts)

    def _on_crash(self, release: ReleaseRef, reason: str) -> None:
        self._shop.reporter.event("worker", "error", f"release {release.release} crashed: {reason}", self.model)
        self._hear(Crashed(release, reason))

    def _hear(self, event: Event) -> None:
        try:
            self._events.put_nowait(event)
        except asyncio.QueueFull:
            log.error("%s: more than %d events wait; dropped %s", self.model, MAX_EVENTS, type(event).__name__)

    async def _fetch(self, release: ReleaseRef) -> None:
        try:
            await self._shop.delivery.fetch(release, self._update.manifest_bytes, self)
        except UnsuitableReleaseError as error:
            self._hear(Unsuitable(release, str(error)))
        except FetchError as error:
            self._hear(Failed(release, Phase.FETCHING, str(error)))
        else:
            self._hear(Done(release, Phase.FETCHING))

    def on_progress(self, share: float) -> None:
        """Report what share of the bytes is here."""
        if share - self._progress >= PROGRESS_STEP:
            self._progress = share
            self.report()

    def on_refusal(self, refusal: Refusal | None) -> None:
        """Report why the device does not take the release now, or that it does again."""
        self._refusal = "" if refusal is None else refusal.text
        self.report()
        if refusal is not None:
            self._shop.reporter.event("refused", "warning", f"not now: {refusal.text}", self.model, {"class": refusal.name})

    async def _stage(self, release: ReleaseRef) -> None:
        await self._try(release, Phase.STAGING, self._shop.delivery.stage(release))

    async def _start_candidate(self, release: ReleaseRef) -> None:
        await self._try(release, Phase.TESTING, self._test(release))

    async def _switch(self, release: ReleaseRef) -> None:
        await self._try(release, Phase.SWITCHING, self.supervisor.switch())

    async def _watch(self, release: ReleaseRef) -> None:
        await self._try(release, Phase.PROBATION, self._pass_probation())

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

    async def _pass_probation(self) -> None:
        began_s = time.monotonic()
        while True:
            pulse = self.supervisor.pulse
            requests, errors = (0, 0) if pulse is None else (pulse.requests, pulse.errors)
            is_alive = self.supervisor.state == "serving"
            match verdict(Watch(time.monotonic() - began_s, is_alive, requests, errors), self._shop.probation_s):
                case "fit":
                    return
                case "unfit":
                    raise ProbationError(requests, errors)
            await asyncio.sleep(min(PROBATION_POLL_S, self._shop.probation_s))

    async def _tidy(self, release: ReleaseRef) -> None:
        await self._shop.delivery.tidy(release)

    async def _discard(self, release: ReleaseRef) -> None:
        await self.supervisor.discard()
        await self._tidy(release)

    async def _roll_back(self, release: ReleaseRef) -> None:
        current = self._update.current
        self.supervisor.want(None if current is None else await self._shop.delivery.installed(current))
        await self._discard(release)

    async def _installed(self, release: ReleaseRef) -> Installed:
        installed = await self._shop.delivery.installed(release)
        if installed is None:
            raise FetchError(f"release {release.release}: expected its unpacked files, found them damaged")
        return installed
