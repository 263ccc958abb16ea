"""The control process: runs every part beside the others, and leaves in good order."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, replace

import anyio
from anyio.abc import TaskGroup

from agent.control.bulletin import Bulletin
from agent.control.commands import Commands
from agent.control.configurator import Configurator
from agent.control.inspection import Inspection
from agent.control.keeping import Keeping
from agent.control.named_sources import Named
from agent.control.ports.machine import Notifier, Sensors
from agent.control.promise import Promise
from agent.control.renewal import Renewal
from agent.control.reporter import Reporter
from agent.control.supervisor import Supervisor
from agent.control.system_watch import SystemWatch
from agent.control.updater import Updater, Workshop
from agent.control.uplink import Uplink
from agent.control.wishes import Wish, Wishes
from agent.core.liveness import Duty, overdue
from agent.errors import CommandError, EngineError
from contracts.configuration import Configuration
from contracts.messages import Health, WorkerHealth
from contracts.topics import AUTHORITY, of_device, parse_trust_file

# A device runs a handful of models; a wish for more is a mistake of the fleet.
MAX_MODELS = 16
GOODBYE_S = 5.0
STOP_S = 15.0
# Reading the sensors and handing the message to the network takes no longer than this.
HEALTH_S = 15.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """What `wiring` puts together for the agent."""

    reporter: Reporter
    keeping: Keeping
    uplink: Uplink
    wishes: Wishes
    renewal: Renewal
    commands: Commands
    workshop: Workshop
    inspection: Inspection
    sensors: Sensors
    system_watch: SystemWatch
    notifier: Notifier
    bulletin: Bulletin
    health_interval_s: float
    # None where the fleet sets nothing.
    configurator: Configurator | None = None


class Agent:
    """One device's agent, from start to stop."""

    def __init__(self) -> None:
        """Make an agent that `run` gives its parts."""
        self._updaters: dict[str, Updater] = {}
        self._parts: Parts | None = None
        self.named = Named()
        self._tasks: TaskGroup | None = None
        self._health = Promise("health")
        self._is_refitted = asyncio.Event()
        # Whether a health message was sent since this was set to false.
        self.is_health_sent = False

    async def run(self, parts: Parts, stop: asyncio.Event) -> None:
        """Serve, update and report until `stop`, then drain the workers and say goodbye."""
        self._parts = parts
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            await parts.workshop.delivery.sweep()
            for model in parts.workshop.store.models():
                self._take_up(model)
            parts.reporter.event("started", "info", f"agent {parts.reporter.identity.agent_version} started")
            if parts.configurator is not None:
                tasks.start_soon(parts.configurator.run)
            tasks.start_soon(parts.keeping.run)
            tasks.start_soon(parts.wishes.run)
            tasks.start_soon(parts.renewal.run)
            tasks.start_soon(parts.commands.run)
            tasks.start_soon(parts.inspection.run)
            tasks.start_soon(self._tell_health)
            tasks.start_soon(parts.bulletin.run, self.workers)
            tasks.start_soon(parts.system_watch.run, self._updaters.values)
            tasks.start_soon(self._beat)
            async with anyio.create_task_group() as talk:
                goodbye = asyncio.Event()
                talk.start_soon(parts.uplink.run, goodbye)
                parts.notifier.ready()
                await stop.wait()
                log.info("leaving: workers drain")
                parts.notifier.stopping()
                goodbye.set()
                await self._drain()
                talk.cancel_scope.deadline = anyio.current_time() + GOODBYE_S
            tasks.cancel_scope.cancel()

    async def hear(self, topic: str, payload: bytes) -> None:
        """Give a message from the broker to whom it concerns."""
        parts = self._running()
        if topic == of_device(parts.reporter.identity.device.id, "desired"):
            await parts.wishes.hear_desired(payload)
        elif topic == of_device(parts.reporter.identity.device.id, "certificate"):
            parts.renewal.hear(payload)
        elif topic == AUTHORITY:
            parts.renewal.hear_authority(payload)
        elif not parts.commands.hear(topic, payload):
            name = parse_trust_file(topic)
            if name is not None:
                await parts.wishes.hear_trust_file(name, payload)

    def follow(self, wishes: dict[str, Wish], generation: int, configuration: Configuration | None) -> None:
        """Take a verified wish for all models and for the settings; what it does not name stays as it is, and tries nothing new."""
        configurator = self._running().configurator
        if configurator is not None:
            configurator.wish(configuration, generation)
        self.named.know(url for wish in wishes.values() for url in wish.sources)
        for model in wishes:
            if model not in self._updaters and len(self._updaters) < MAX_MODELS:
                self._take_up(model)
            elif model not in self._updaters:
                log.error("expected at most %d models, found one more: %s", MAX_MODELS, model)
        for model, updater in self._updaters.items():
            updater.wish(wishes.get(model), generation)

    def refit(self, workshop: Workshop, health_interval_s: float) -> None:
        """Work by other settings from now on."""
        self._parts = replace(self._running(), workshop=workshop, health_interval_s=health_interval_s)
        for updater in self._updaters.values():
            updater.refit(workshop)
        self._is_refitted.set()

    def doubt(self) -> None:
        """Send a health message at once, and note that it was sent."""
        self.is_health_sent = False
        self._is_refitted.set()

    @property
    def is_trying(self) -> bool:
        """Say whether any model's release is being tried."""
        return any(updater.is_trying for updater in self._updaters.values())

    @property
    def supervisors(self) -> tuple[Supervisor, ...]:
        """Return who looks after each model's workers."""
        return tuple(updater.supervisor for updater in self._updaters.values())

    def disprove(self, model: str, manifest_sha256: str, reason: str) -> None:
        """Tell a model's updater that one of its workers failed the golden set."""
        updater = self._updaters.get(model)
        if updater is not None:
            updater.disprove(manifest_sha256, reason)

    def may_do_without_engine(self, model: str, manifest_sha256: str, error: EngineError) -> bool:
        """Tell a model's updater that a release's engine cannot be built; say whether it is to serve without one."""
        updater = self._updaters.get(model)
        return updater is not None and updater.may_do_without_engine(manifest_sha256, error)

    def supervisor_of(self, model: str | None) -> Supervisor:
        """Return who looks after a model's workers, None being the only model; raise CommandError."""
        known = ", ".join(self._updaters) or "none"
        if model is None and len(self._updaters) != 1:
            raise CommandError(f"expected the name of a model, found none and these models: {known}")
        updater = next(iter(self._updaters.values())) if model is None else self._updaters.get(model)
        if updater is None:
            raise CommandError(f"{model}: expected a model of this device, found these: {known}")
        return updater.supervisor

    def _take_up(self, model: str) -> None:
        updater = self._updaters[model] = Updater(model, self._running().workshop)
        updater.report()
        assert self._tasks is not None  # `run` is running
        self._tasks.start_soon(updater.run)

    async def _drain(self) -> None:
        with anyio.move_on_after(STOP_S):
            async with anyio.create_task_group() as drains:
                configurator = self._running().configurator
                if configurator is not None:
                    drains.start_soon(configurator.leave)
                for updater in self._updaters.values():
                    drains.start_soon(updater.leave)

    async def _beat(self) -> None:
        """Feed the watchdog, but only while every loop does what it is there for."""
        notifier = self._running().notifier
        while (interval_s := notifier.beat_interval_s) is not None:
            # Who is late by as much as the whole process may be silent for does not come back by itself.
            stuck = overdue(self._duties(), time.monotonic(), grace_s=2 * interval_s)
            if stuck:
                log.error("no progress: %s; the watchdog is not fed", ", ".join(stuck))
            else:
                notifier.beat()
            await asyncio.sleep(interval_s)

    def _duties(self) -> list[Duty]:
        parts = self._running()
        promises = [self._health, parts.bulletin.promise, parts.uplink.promise]
        promises += [parts.configurator.promise] if parts.configurator is not None else []
        for updater in self._updaters.values():
            promises += [updater.promise, updater.supervisor.promise]
        return [promise.duty for promise in promises]

    async def _tell_health(self) -> None:
        while True:
            parts = self._running()
            self._is_refitted.clear()
            with self._health.within(HEALTH_S):
                readings = await parts.sensors.read()
                workers = self.workers()
                if parts.uplink.is_connected:  # else its number would be missing
                    message = parts.reporter.stamp(Health, **vars(readings), workers=workers)
                    is_sent = await parts.uplink.send_now("health", message)
                    self.is_health_sent = self.is_health_sent or is_sent
            interval_s = self._running().health_interval_s
            with self._health.within(interval_s), anyio.move_on_after(interval_s):
                await self._is_refitted.wait()

    def workers(self) -> dict[str, WorkerHealth]:
        """Return how each model's worker is."""
        return {model: self._worker_health(updater) for model, updater in self._updaters.items()}

    def _worker_health(self, updater: Updater) -> WorkerHealth:
        supervisor = updater.supervisor
        worker = supervisor.serving
        ready = None if worker is None else worker.ready
        return WorkerHealth(
            state=supervisor.state,
            restarts=supervisor.restarts,
            rss_bytes=0 if worker is None else self._running().sensors.rss_bytes(worker.pid),
            runtime="" if ready is None else f"{ready.runtime} {ready.runtime_version}",
            provider="" if ready is None else ready.provider,
            preferred_provider="" if ready is None else ready.preferred_provider,
            placement=None if ready is None or not ready.placement else ready.placement,
            source=None if supervisor.pulse is None else supervisor.pulse.source,
        )

    def _running(self) -> Parts:
        assert self._parts is not None  # `run` is running
        return self._parts
