"""The agent's composition root: the one place that knows every adapter."""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agent.adapters.address import BrokerAddress
from agent.adapters.album import Album
from agent.adapters.builder_process import BuilderProcess
from agent.adapters.bulk import BulkBroker
from agent.adapters.command_process import CommandVerifierProcess
from agent.adapters.configuration_files import ConfigurationFiles
from agent.adapters.credential_process import CredentialProcess
from agent.adapters.folder_source import FolderSource
from agent.adapters.http_source import HttpSource, Tls
from agent.adapters.identity import IdentityFiles
from agent.adapters.incoming import Incoming
from agent.adapters.ledger_file import LedgerFile
from agent.adapters.link_file import LinkFile
from agent.adapters.logbook import Logbook, recent_log
from agent.adapters.mqtt import MqttBroker
from agent.adapters.notify import ServiceNotifier
from agent.adapters.outbox_files import OutboxFiles
from agent.adapters.patcher_process import PatcherProcess
from agent.adapters.platform_facts import PlatformFacts
from agent.adapters.processes import DATA_SHARE, WorkerLauncher
from agent.adapters.release_notes import ReleaseNotes
from agent.adapters.sensors import Sensors
from agent.adapters.status_file import StatusFile
from agent.adapters.store import StateStore
from agent.adapters.trial_process import TrialProcess
from agent.adapters.trust_files import TrustFiles
from agent.adapters.verifier_process import VerifierProcess
from agent.config import Settings
from agent.control.broker_source import BrokerSource
from agent.control.bulletin import Bulletin, Sources
from agent.control.command_gate import CommandGate, Judging
from agent.control.commands import Commands, Deed
from agent.control.configurator import Configurator, opened
from agent.control.deeds import Bench, Deeds
from agent.control.delivery import Delivery
from agent.control.downloader import Downloader
from agent.control.engines import Engines
from agent.control.inspection import Inspection
from agent.control.keeping import Keeping
from agent.control.main import Agent, Parts
from agent.control.named_sources import Named, NamedSource
from agent.control.ports.sources import Source
from agent.control.proof import ProvingLauncher, Told
from agent.control.renewal import Renewal
from agent.control.reporter import Identity, Reporter, utc_now
from agent.control.shortcut import Shortcut
from agent.control.system_watch import SystemWatch
from agent.control.updater import Workshop
from agent.control.uplink import Uplink
from agent.control.wishes import Wishes
from agent.control.worker import Patience
from agent.core import probation
from agent.core.admission import Fit
from agent.core.clock_floor import judged_now
from agent.core.outbox import Outbox
from agent.dials import Panel, outbox_limits, pace_of, patience_of, retention_of, terms_of, workshop_of
from agent.runtimes.installed import installed_version
from contracts.agent_config import AgentConfig, SourceName
from contracts.chunks import ARTIFACTS_PATH
from contracts.commands import Kind
from contracts.manifest import Runtime

WORKER_COMMAND = (sys.executable, "-m", "agent.worker")
BUILDER_COMMAND = (sys.executable, "-m", "agent.builder")
TRIAL_COMMAND = (sys.executable, "-m", "agent.trial")


@dataclass(frozen=True)
class WorkerKind:
    """Which program serves a model, which one builds its engine, which runtimes they bring, and how long they may take."""

    command: Sequence[str]
    runtimes: dict[Runtime, str]
    patience: Patience
    builder: Sequence[str] = BUILDER_COMMAND
    trial: Sequence[str] = TRIAL_COMMAND
    # Under which the system's own files tell what it is made of.
    system: Path = Path("/")


def _sources(config: AgentConfig, folder: Path, broker: BrokerSource, tls: Tls, named: Named) -> list[Source]:
    """Return the sources that a configuration names, in their order; relative paths start from `folder`."""
    delivery = config.delivery
    by_release: list[Source] = [NamedSource(named, delivery.release_hosts, HttpSource)] if delivery.release_hosts else []
    own = [HttpSource(f"{delivery.server.rstrip('/')}{ARTIFACTS_PATH}", tls, may_lead=True)] if delivery.server else []
    meant: dict[SourceName, list[Source]] = {
        "mqtt": [broker],
        "https": [*own, *(HttpSource(url) for url in delivery.urls), *by_release],
        "folder": [FolderSource(folder / delivery.folder)] if delivery.folder else [],
    }
    return [source for name in delivery.sources for source in meant[name]]


def _deeds(settings: Settings, kind: WorkerKind, agent: Agent, sensors: Sensors, memory_bytes: int) -> dict[Kind, Deed]:
    """Return what commands can have done, within this device's configuration."""
    album = Album(settings.state_dir / "pictures") if settings.config.commands.snapshot else None
    bench = Bench(TrialProcess(kind.trial), sensors, settings.config.runtime, int(memory_bytes * DATA_SHARE))
    return Deeds(agent.supervisor_of, Logbook(recent_log()), album, bench).by_kind


async def run(settings: Settings, kind: WorkerKind, stop: asyncio.Event) -> None:
    """Run the agent that `settings` describe, with what the fleet has set since, until `stop`."""
    kept = ConfigurationFiles(settings.state_dir)
    opening = opened(kept, settings.config, utc_now())
    config = opening.config
    store = StateStore(settings.state_dir, retention_of(config))
    sensors = Sensors(settings.state_dir)
    trust = TrustFiles(settings.state_dir)
    incoming = Incoming(settings.state_dir / "incoming")
    identity = Identity(config.device, installed_version("fieldfare") or "unknown", kind.runtimes, sensors.machine(), secrets.token_hex(8))
    outbox_files = OutboxFiles(settings.state_dir / "outbox")
    outbox = Outbox(outbox_files, outbox_limits(config), time.monotonic)
    reporter = Reporter(identity, trust.memory(), outbox)

    def judged_time() -> datetime:
        return judged_now(utc_now(), trust.memory().floor)

    known_by = IdentityFiles(settings, judged_time)
    address = BrokerAddress(config.broker.host, config.broker.port, config.broker.keepalive_s, known_by)
    agent = Agent()
    mqtt, bulk = MqttBroker(address), BulkBroker(address)
    uplink = Uplink(mqtt, reporter, agent.hear, config.broker.keepalive_s)
    broker_source = BrokerSource(bulk, reporter, LinkFile(settings.state_dir / "links.json", str(address)))

    def sources(config: AgentConfig) -> list[Source]:
        return _sources(config, settings.file.parent, broker_source, known_by.tls_context, agent.named)

    downloader = Downloader(sources(config), incoming, pace_of(config))
    shortcut = Shortcut(store, incoming, downloader, PatcherProcess())
    delivery = Delivery(store, incoming, shortcut, Fit(config.device.targets, frozenset(kind.runtimes)), sensors)
    patience = patience_of(config, kind.patience, identity.machine)
    workers = WorkerLauncher(kind.command, store, config.serve.host, config.serve.port, terms_of(config, patience, settings))
    notes, facts = ReleaseNotes(store.releases), PlatformFacts(kind.system)
    engines = Engines(notes, facts, BuilderProcess(kind.builder), config.runtime)
    launcher = ProvingLauncher(workers, engines, facts, notes, Told(reporter, agent.disprove))
    bulletin = Bulletin(Sources(reporter, uplink, str(address)), StatusFile(settings.state_dir), config.telemetry.health_interval_s)
    panel = Panel(
        agent=agent,
        uplink=uplink,
        lines=(mqtt, bulk),
        address=address,
        outbox=outbox,
        bulletin=bulletin,
        store=store,
        workers=workers,
        downloader=downloader,
        sources=sources,
        workshop=workshop_of(
            config,
            Workshop(store, delivery, engines, launcher, reporter, config.update.probation_s, probation.Limits(), sensors, patience),
            patience,
        ),
        sensors=sensors,
        settings=settings,
        config=config,
    )
    wishes = Wishes(trust, VerifierProcess(), reporter, str(settings.root_file), agent.follow)
    judging = Judging(CommandVerifierProcess(), trust, LedgerFile(settings.state_dir), str(settings.root_file), wishes.turn)
    parts = Parts(
        reporter=reporter,
        keeping=Keeping(reporter, outbox_files),
        uplink=uplink,
        wishes=wishes,
        commands=Commands(
            CommandGate(judging, reporter, judged_time), _deeds(settings, kind, agent, sensors, patience.memory_bytes), reporter, uplink
        ),
        renewal=Renewal(known_by, CredentialProcess(), uplink, reporter, judged_time),
        workshop=panel.workshop,
        inspection=Inspection(store, delivery, reporter),
        sensors=sensors,
        system_watch=SystemWatch(facts, reporter, config.runtime.look_s),
        notifier=ServiceNotifier(),
        bulletin=bulletin,
        health_interval_s=config.telemetry.health_interval_s,
        configurator=Configurator(opening, kept, panel, reporter),
    )
    try:
        await agent.run(parts, stop)
    finally:
        incoming.close()
        outbox_files.close()
        workers.close()
