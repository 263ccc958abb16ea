"""Does what the update machine asks for when the release is a configuration: keeps, checks, applies and watches settings of the fleet."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from datetime import datetime

import anyio

from agent.control.clock import Clock
from agent.control.driver import Driver
from agent.control.herald import Herald
from agent.control.ports.settings import ConfigurationFiles, Dials
from agent.control.reporter import Reporter
from agent.core.configuring import BASE_REF, LINK_KEEPALIVES, NAME, Trial, misfit, ref_of
from agent.core.update import Damaged, Do, Done, Failed, Unsuitable, Update, Wished, resume
from agent.core.update.step import Next
from agent.errors import SettingsError, StateError
from contracts.agent_config import AgentConfig
from contracts.configuration import Configuration, configured
from contracts.errors import InvalidDocumentError
from contracts.lifecycle import Phase
from contracts.messages import ReleaseRef

LOOK_S, LOOKS = 0.25, 4

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Opening:
    """What an agent starts with: the state before, what the start made of it, and the settings that are in force."""

    base: AgentConfig
    before: Update
    resumed: Next
    config: AgentConfig
    # Which configuration that is: the committed one, or its heir where it cannot be read.
    ref: ReleaseRef


def opened(files: ConfigurationFiles, base: AgentConfig, now: datetime) -> Opening:
    """Count the start before anything is set by what the fleet wished: settings that bring the agent down are left after a few."""
    before = files.load()
    resumed = resume(before, now)
    update = resumed[0]
    try:
        if update != before:
            files.save(update)
    except StateError as error:
        # A disk that takes nothing must not keep a device from its work.
        log.error("configuration: %s; this start is not counted", error)
    ref, config = in_force(files, base, update)
    return Opening(base, before, resumed, config, ref)


def in_force(files: ConfigurationFiles, base: AgentConfig, update: Update) -> tuple[ReleaseRef, AgentConfig]:
    """Return the committed configuration and what agent.toml becomes by it, or those of its heir where it cannot be read."""
    for ref in (update.current, update.previous):
        config = None if ref is None else _read(files, base, ref)
        if ref is not None and config is not None:
            return ref, config
    return BASE_REF, base


class Configurator:
    """The settings of one agent."""

    def __init__(self, opening: Opening, files: ConfigurationFiles, dials: Dials, reporter: Reporter) -> None:
        """Go on from `opening`, by which the parts behind `dials` were made."""
        self._opening = opening
        self._files = files
        self._dials = dials
        self._reporter = reporter
        self._herald = Herald(NAME, reporter, "revision", reporter.report_configuration)
        self._in_force = opening.config
        self._serving: ReleaseRef = opening.ref
        self._wished: Configuration | None = None
        self._is_wished = asyncio.Event()
        deeds = {
            Do.SERVE: self._serve,
            Do.FETCH: self._fetch,
            Do.STAGE: self._stage,
            Do.START_CANDIDATE: self._check,
            Do.SWITCH: self._switch,
            Do.START_PROBATION: self._watch,
            Do.COMMIT: self._tidy,
            Do.DISCARD: self._tidy,
            Do.ROLL_BACK: self._roll_back,
        }
        clock = Clock(opening.config.update.probation_s)
        self._driver = Driver(NAME, opening.before, clock, self, deeds)
        self.promise = self._driver.promise

    def wish(self, configuration: Configuration | None, generation: int) -> None:
        """Take what the fleet's newest document wants; one that says nothing of settings leaves them as they are."""
        if configuration is None:
            return
        self._wished = configuration
        self._is_wished.set()
        self._driver.hear(Wished(ref_of(configuration), 0, generation))

    async def run(self) -> None:
        """Go on with what was under way, then follow events."""
        self.report()
        async with anyio.create_task_group() as tasks:
            await self._driver.run(tasks, self._opening.resumed)

    async def leave(self) -> None:
        """Note that the agent ends in good order."""
        await self._driver.leave()

    def report(self) -> None:
        """Tell the fleet which settings are in force."""
        self._herald.report(self._driver.update, "", "")

    def save(self, update: Update) -> None:
        """Keep a state of the machine."""
        self._files.save(update)

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
        """Clear away what came for a revision that is over."""
        await self._tidy(release)

    async def serve_unsaved(self, update: Update) -> None:
        """Leave everything set as it was when the agent started."""

    @property
    def serving(self) -> ReleaseRef:
        """Return which configuration is in force."""
        return self._serving

    async def _serve(self, ref: ReleaseRef) -> None:
        config = await anyio.to_thread.run_sync(_read, self._files, self._opening.base, ref)
        if config is not None:
            self._turn(ref, config)
            return
        previous = self._driver.update.previous
        heir = BASE_REF if previous is None or _read(self._files, self._opening.base, previous) is None else previous
        text = f"revision {ref.release} was damaged on disk, or says what this version of the agent does not take"
        self._reporter.event("phase", "error", text, NAME)
        self._driver.hear(Damaged(ref, heir))

    async def _fetch(self, ref: ReleaseRef) -> None:
        configuration = await anyio.to_thread.run_sync(self._files.read, ref)
        while configuration is None:
            # It comes with the wish itself, which is heard again after every start.
            self._is_wished.clear()
            if self._wished is not None and ref_of(self._wished) == ref:
                configuration = self._wished
            else:
                await self._is_wished.wait()
        try:
            configured(self._opening.base, configuration.settings)
        except InvalidDocumentError as error:
            self._driver.hear(Unsuitable(ref, str(error)))
            return
        try:
            await anyio.to_thread.run_sync(self._files.put, configuration)
        except StateError as error:
            self._driver.hear(Failed(ref, Phase.FETCHING, str(error)))
        else:
            self._driver.hear(Done(ref, Phase.FETCHING))

    async def _stage(self, ref: ReleaseRef) -> None:
        while self._dials.is_trying:
            await asyncio.sleep(LOOK_S)
            self._driver.progress()
        self._driver.hear(Done(ref, Phase.STAGING))

    async def _check(self, ref: ReleaseRef) -> None:
        await self._driver.attempt(ref, Phase.TESTING, self._fit(ref))

    async def _fit(self, ref: ReleaseRef) -> None:
        config = await self._config(ref)
        reason = misfit(config, await self._dials.ground(config))
        if reason is not None:
            raise SettingsError(reason)

    async def _switch(self, ref: ReleaseRef) -> None:
        await self._driver.attempt(ref, Phase.SWITCHING, self._apply(ref))

    async def _apply(self, ref: ReleaseRef) -> None:
        self._turn(ref, await self._config(ref))

    async def _watch(self, ref: ReleaseRef) -> None:
        await self._driver.attempt(ref, Phase.PROBATION, self._prove(ref))

    async def _prove(self, ref: ReleaseRef) -> None:
        config = await self._config(ref)
        patience_s = LINK_KEEPALIVES * max(config.broker.keepalive_s, self._opening.base.broker.keepalive_s)
        trial = Trial(time.monotonic(), config.update.probation_s, patience_s)
        self._dials.doubt()
        while True:
            signs, now_s = self._dials.signs(), time.monotonic()
            trial = trial.seen(signs, now_s)
            if trial.is_fit(now_s):
                return
            if signs.failure or trial.is_over(now_s):
                raise SettingsError(signs.failure or trial.lack)
            await asyncio.sleep(min(LOOK_S, config.update.probation_s / LOOKS))

    async def _roll_back(self, ref: ReleaseRef) -> None:
        current = self._driver.update.current
        await self._serve(BASE_REF if current is None else current)
        await self._tidy(ref)

    async def _tidy(self, _: ReleaseRef) -> None:
        await anyio.to_thread.run_sync(self._files.collect, self._driver.update.needed)

    async def _config(self, ref: ReleaseRef) -> AgentConfig:
        config = await anyio.to_thread.run_sync(_read, self._files, self._opening.base, ref)
        if config is None:
            raise SettingsError(f"revision {ref.release}: expected the settings that were kept, found them damaged")
        return config

    def _turn(self, ref: ReleaseRef, config: AgentConfig) -> None:
        self._serving = ref
        if config != self._in_force:
            self._in_force = config
            self._driver.clock.allow(config.update.probation_s)
            self._dials.turn(config)


def _read(files: ConfigurationFiles, base: AgentConfig, ref: ReleaseRef) -> AgentConfig | None:
    """Return what agent.toml becomes by a kept configuration; None when that cannot be told."""
    configuration = files.read(ref)
    try:
        return None if configuration is None else configured(base, configuration.settings)
    except InvalidDocumentError as error:
        log.error("revision %d: %s", ref.release, error)
        return None
