"""Does what one model's update machine asks for: fetches, proves, switches and serves its releases."""

from __future__ import annotations

from dataclasses import dataclass

import anyio

from agent.control.clock import Clock
from agent.control.delivery import Delivery, Installed
from agent.control.driver import Driver
from agent.control.engines import Engines
from agent.control.herald import Herald
from agent.control.ports.files import Store
from agent.control.ports.machine import Thermometer
from agent.control.ports.workers import Launcher
from agent.control.probation import Probation
from agent.control.reporter import Reporter
from agent.control.shadowing import Shadowing
from agent.control.supervisor import Supervisor
from agent.control.voice import Listener
from agent.control.wishes import Wish
from agent.control.worker import Patience
from agent.core.preflight import Refusal
from agent.core.probation import Limits
from agent.core.update import Crashed, Damaged, Disproved, Do, Done, Failed, Unsuitable, Update, Wished
from agent.errors import AgentError, EngineError, FetchError, GoldenSetError, UnsuitableReleaseError
from contracts.lifecycle import Phase
from contracts.messages import ReleaseRef


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
    # How often workers tell of their work; known to the launcher, and here so that a change of it is noticed.
    window_s: float = 10.0


class Updater:
    """One model on this device."""

    def __init__(self, model: str, shop: Workshop) -> None:
        """Take up a model that is known or was just wished for."""
        self.model = model
        self._herald = Herald(model, shop.reporter)
        listener = Listener(self._on_crash, self._herald.alarm, shop.reporter.window, self.report)
        self.supervisor = Supervisor(model, shop.launcher, listener, shop.patience)
        self._shop = shop
        deeds = {
            Do.SERVE: self._serve,
            Do.FETCH: self._fetch,
            Do.STAGE: self._stage,
            Do.START_CANDIDATE: self._start_candidate,
            Do.START_SHADOW: self._shadow,
            Do.SWITCH: self._switch,
            Do.START_PROBATION: self._watch,
            Do.COMMIT: self._tidy,
            Do.DISCARD: self._discard,
            Do.ROLL_BACK: self._roll_back,
        }
        self._driver = Driver(model, shop.store.load(model), Clock(shop.probation_s), self, deeds)
        self.promise = self._driver.promise

    def wish(self, wish: Wish | None, generation: int) -> None:
        """Take what the fleet's newest document wants of this model."""
        self._driver.hear(
            Wished(None, 0, generation) if wish is None else Wished(wish.release, wish.manifest_bytes, generation, wish.shadow)
        )

    def refit(self, shop: Workshop) -> None:
        """Work by other settings from now on; workers are replaced without a gap where theirs have changed."""
        is_workers_own = shop.patience != self._shop.patience or shop.window_s != self._shop.window_s
        self._shop = shop
        self._driver.clock.allow(shop.probation_s)
        if is_workers_own:
            self.supervisor.refit(shop.patience)

    async def run(self) -> None:
        """Serve what is committed, go on with what was under way, then follow events."""
        async with anyio.create_task_group() as tasks:
            await tasks.start(self.supervisor.run)
            await self._driver.run(tasks)

    async def leave(self) -> None:
        """Stop serving in good order; `run` follows no events any more."""
        await self._driver.leave()
        await self.supervisor.drain()

    def report(self) -> None:
        """Tell the fleet where the model stands."""
        self._herald.report(self._driver.update, self.supervisor.target, self._shop.launcher.endpoint(self.model))

    def save(self, update: Update) -> None:
        """Keep a state of the machine."""
        self._shop.store.save(self.model, update)

    def tell(self, before: Update, update: Update) -> None:
        """Tell what has changed."""
        self._herald.go_on(update.phase)
        self._herald.tell(before, update)
        self.report()

    def hold(self, update: Update, reason: str) -> None:
        """Tell why nothing changes."""
        self._herald.hold(update.phase, reason)
        self.report()

    async def make_room(self, release: ReleaseRef) -> None:
        """Clear away what came for a release that is over."""
        await self._shop.delivery.tidy(release)

    async def serve_unsaved(self, update: Update) -> None:
        """Serve what is committed, although the disk does not take it."""
        self.supervisor.want(await self._committed(update))

    @property
    def serving(self) -> ReleaseRef | None:
        """Return which release serves."""
        worker = self.supervisor.serving
        return None if worker is None else worker.installed.release

    def _on_crash(self, release: ReleaseRef, reason: str) -> None:
        self._driver.clock.disturb()
        self._driver.hear(Crashed(release, reason))

    def disprove(self, manifest_sha256: str, reason: str) -> None:
        """Hear that a worker failed the golden set; it is a candidate's own affair, or a restart's while an older worker serves on."""
        current = self._driver.update.current
        if current is not None and self._depends_on(manifest_sha256):
            self._driver.hear(Disproved(current, f"it fails its golden set: {reason}"))

    def may_do_without_engine(self, manifest_sha256: str, error: EngineError) -> bool:
        """Hear that a release's engine cannot be built, and say whether it is to serve without: there is no other one to go back to."""
        current, previous = self._driver.update.current, self._driver.update.previous
        if current is None or not self._depends_on(manifest_sha256):
            return False
        if previous is not None and not error.may_pass:
            self._driver.hear(Disproved(current, str(error)))
            return False
        return True

    def _depends_on(self, manifest_sha256: str) -> bool:
        """Say whether callers have nobody but a worker of this release, which is the committed one."""
        current, serving = self._driver.update.current, self.supervisor.serving
        is_committed = current is not None and current.manifest_sha256 == manifest_sha256
        return is_committed and (serving is None or serving.has_ended)

    @property
    def is_trying(self) -> bool:
        """Say whether a release is tested, taking over or on probation."""
        return self._driver.update.phase in {Phase.TESTING, Phase.SWITCHING, Phase.PROBATION}

    @property
    def is_at_rest(self) -> bool:
        """Say whether no update is under way."""
        return self._driver.is_at_rest

    def on_progress(self, share: float) -> None:
        """Report what share of the phase's work is done, and wait on for the rest."""
        self._driver.progress()
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
        self.supervisor.want(await self._committed(self._driver.update))

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
            self._driver.hear(Damaged(release, None if installed is None else installed.release))
        return installed

    async def _fetch(self, release: ReleaseRef) -> None:
        try:
            await self._shop.delivery.fetch(release, self._driver.update.manifest_bytes, self)
        except UnsuitableReleaseError as error:
            self._driver.hear(Unsuitable(release, str(error)))
        except AgentError as error:
            self._driver.hear(Failed(release, Phase.FETCHING, str(error)))
        else:
            self._driver.hear(Done(release, Phase.FETCHING))

    async def _stage(self, release: ReleaseRef) -> None:
        await self._driver.attempt(release, Phase.STAGING, self._unpack_and_build(release))

    async def _unpack_and_build(self, release: ReleaseRef) -> None:
        installed = await self._shop.delivery.stage(release)
        await self._shop.engines.ensure(installed.folder, installed.target, self.on_building)

    async def _start_candidate(self, release: ReleaseRef) -> None:
        await self._driver.attempt(release, Phase.TESTING, self._test(release))

    async def _shadow(self, release: ReleaseRef) -> None:
        shop, terms = self._shop, self._driver.update.shadow
        if terms is not None:
            shadowing = Shadowing(self.supervisor, shop.thermometer, str(shop.store.shadow_socket(self.model)), terms)
            await self._driver.attempt(release, Phase.SHADOW, shadowing.run(release, self._test))

    async def _switch(self, release: ReleaseRef) -> None:
        await self._driver.attempt(release, Phase.SWITCHING, self._hand_over(release))

    async def _hand_over(self, release: ReleaseRef) -> None:
        if self.supervisor.candidate is None or self.supervisor.candidate.has_ended:
            await self._test(release)  # it was a shadow that was just being started again
        await self.supervisor.switch()

    async def _watch(self, release: ReleaseRef) -> None:
        shop = self._shop
        probation = Probation(self.supervisor, shop.thermometer, shop.limits, shop.probation_s)
        await self._driver.attempt(release, Phase.PROBATION, probation.watch(release, self._driver.update.current))

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
        self.supervisor.want(await self._committed(self._driver.update))
        await self._discard(release)

    async def _installed(self, release: ReleaseRef) -> Installed:
        installed = await self._shop.delivery.installed(release)
        if installed is None:
            raise FetchError(f"release {release.release}: expected its unpacked files, found them damaged")
        return installed
