"""Turns the parts of a running agent to a configuration: the one place that knows which part each setting is for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import anyio

from agent.adapters.address import BrokerAddress
from agent.adapters.bulk import BulkBroker
from agent.adapters.mqtt import MqttBroker
from agent.adapters.processes import Terms, WorkerLauncher
from agent.adapters.store import StateStore
from agent.config import Settings
from agent.control.basket import Pace
from agent.control.bulletin import Bulletin
from agent.control.downloader import Downloader
from agent.control.main import Agent
from agent.control.ports.machine import Sensors
from agent.control.ports.sources import Source
from agent.control.updater import Workshop
from agent.control.uplink import Uplink
from agent.control.worker import Patience
from agent.core import probation
from agent.core.configuring import Ground, Signs
from agent.core.growth import MIB
from agent.core.outbox import Outbox
from agent.core.retention import Retention
from agent.core.shelf import Limits
from contracts.agent_config import AgentConfig
from contracts.messages import Machine
from contracts.pace import Hours


def address_of(config: AgentConfig, address: BrokerAddress) -> BrokerAddress:
    """Return where a configuration says the broker is, for the same device."""
    return replace(address, host=config.broker.host, port=config.broker.port, keepalive_s=config.broker.keepalive_s)


def patience_of(config: AgentConfig, patience: Patience, machine: Machine) -> Patience:
    """Return what a worker may take on this machine."""
    memory_bytes = config.worker.memory_mib * MIB or machine.memory_bytes // 2
    return replace(patience, inference_s=config.worker.inference_s, memory_bytes=memory_bytes, pause_s=config.update.max_pause_s)


def terms_of(config: AgentConfig, patience: Patience, settings: Settings) -> Terms:
    """Return what workers are told at their start; `settings` say from where the paths of cameras start."""
    places = str(settings.state_dir), str(settings.file.parent)
    sources = {source.model: source.placed(*places) for source in config.source}
    return Terms(config.telemetry.window_s, patience.memory_bytes, config.runtime, sources)


def workshop_of(config: AgentConfig, shop: Workshop, patience: Patience) -> Workshop:
    """Return what updaters work by."""
    limits = probation.Limits(**config.update.model_dump(exclude={"probation_s", "max_pause_s"}))
    return replace(shop, probation_s=config.update.probation_s, limits=limits, patience=patience, window_s=config.telemetry.window_s)


def outbox_limits(config: AgentConfig) -> Limits:
    """Return how much may wait for the link."""
    return Limits(config.telemetry.outbox_max_bytes, config.telemetry.outbox_max_age_s)


def retention_of(config: AgentConfig) -> Retention:
    """Return which releases stay on the disk."""
    return Retention(config.storage.earlier_releases, config.storage.max_bytes)


def pace_of(config: AgentConfig) -> Pace:
    """Return how fast and when files are asked for."""
    return Pace(config.delivery.max_bytes_per_s, Hours.parse(config.delivery.hours))


@dataclass
class Panel:
    """Everything that can be turned; it fits the configurator's port."""

    agent: Agent
    uplink: Uplink
    lines: tuple[MqttBroker, BulkBroker]
    address: BrokerAddress
    outbox: Outbox
    bulletin: Bulletin
    store: StateStore
    workers: WorkerLauncher
    downloader: Downloader
    sources: Callable[[AgentConfig], Sequence[Source]]
    workshop: Workshop
    sensors: Sensors
    # Relative paths of the configuration start from its file's folder.
    settings: Settings
    config: AgentConfig
    # Models that were served, or about to be, when the panel was turned last: one that fails anyway must not keep settings from it.
    served: frozenset[str] = frozenset()

    def turn(self, config: AgentConfig) -> None:
        """Let a configuration be in force; what it does not change goes on undisturbed."""
        before, self.config = self.config, config
        sound = (each for each in self.agent.supervisors if each.target and each.state in {"serving", "starting"})
        self.served = frozenset(each.model for each in sound)
        patience = patience_of(config, self.workshop.patience, self.sensors.machine())
        self.workshop = workshop_of(config, self.workshop, patience)
        self.workers.tell(terms_of(config, patience, self.settings))
        self.agent.refit(self.workshop, config.telemetry.health_interval_s)
        self.outbox.limit(outbox_limits(config))
        self.store.keep_by(retention_of(config))
        if config.broker != before.broker:
            self._move(address_of(config, self.address))
        self.bulletin.set(str(self.address), config.telemetry.health_interval_s)
        if config.delivery != before.delivery:
            self.downloader.use(self.sources(config), pace_of(config))

    async def ground(self, config: AgentConfig) -> Ground:
        """Say what of the device a configuration has to fit."""
        condition, named = await self.sensors.condition(), config.delivery.folder
        has_folder = not named or await anyio.Path(self.settings.file.parent / named).exists()
        machine = self.sensors.machine()
        return Ground(machine.memory_bytes, condition.disk_free_bytes, self.outbox.size, has_folder)

    @property
    def is_trying(self) -> bool:
        """Say whether a model's release is being tried."""
        return self.agent.is_trying

    def doubt(self) -> None:
        """Hold everything for unproven until it has shown itself anew."""
        self.uplink.doubt()
        self.agent.doubt()

    def signs(self) -> Signs:
        """Say what has shown itself since then."""
        supervisors = self.agent.supervisors
        waiting = tuple(each.model for each in supervisors if each.model in self.served and not each.is_fit)
        failures = (f"worker: {each.model}: {each.refit_failure}" for each in supervisors if each.refit_failure and not each.is_fit)
        return Signs(self.uplink.is_proven, self.agent.is_health_sent, waiting, next(failures, ""))

    def _move(self, address: BrokerAddress) -> None:
        self.address = address
        for line in self.lines:
            line.move(address)
        self.uplink.move(address.keepalive_s)
