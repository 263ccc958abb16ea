"""The agent's composition root: the one place that knows every adapter."""

from __future__ import annotations

import asyncio

import anyio

from agent.adapters.address import BrokerAddress
from agent.adapters.album import Album
from agent.adapters.builder_process import BuilderProcess
from agent.adapters.bulk import BulkBroker
from agent.adapters.command_process import CommandVerifierProcess
from agent.adapters.command_records import CommandRecords
from agent.adapters.credential_process import CredentialProcess
from agent.adapters.folder_source import FolderSource
from agent.adapters.http_source import HttpSource
from agent.adapters.identity import IdentityFiles
from agent.adapters.ledger_file import LedgerFile
from agent.adapters.link_file import LinkFile
from agent.adapters.logbook import Logbook, recent_log
from agent.adapters.mqtt import MqttBroker
from agent.adapters.notify import ServiceNotifier
from agent.adapters.patcher_process import PatcherProcess
from agent.adapters.platform_facts import PlatformFacts
from agent.adapters.processes import DATA_SHARE, WorkerLauncher
from agent.adapters.release_notes import ReleaseNotes
from agent.adapters.status_file import StatusFile
from agent.adapters.trial_process import TrialProcess
from agent.adapters.verifier_process import VerifierProcess
from agent.config import Settings
from agent.control.answers import Answers
from agent.control.broker_source import BrokerSource
from agent.control.bulletin import Bulletin, Sources
from agent.control.command_gate import CommandGate, Judging
from agent.control.commands import Commands
from agent.control.configurator import Configurator
from agent.control.deeds import Bench, Deeds
from agent.control.delivery import Delivery
from agent.control.downloader import Downloader
from agent.control.engines import Engines
from agent.control.inspection import Inspection
from agent.control.keeping import Keeping
from agent.control.main import Agent, Parts
from agent.control.named_sources import NamedSource
from agent.control.ports.sources import Source
from agent.control.proof import ProvingLauncher, Told
from agent.control.renewal import Renewal
from agent.control.shortcut import Shortcut
from agent.control.system_watch import SystemWatch
from agent.control.updater import Workshop
from agent.control.uplink import Uplink
from agent.control.wishes import Wishes
from agent.core import probation
from agent.core.admission import Fit
from agent.dials import Panel, pace_of, patience_of, terms_of, workshop_of
from agent.ground import Ground, WorkerKind
from contracts.agent_config import AgentConfig, SourceName
from contracts.chunks import ARTIFACTS_PATH


class Lines:
    """The connections to the fleet: one for messages, one for files, and servers that hold files."""

    def __init__(self, ground: Ground, agent: Agent) -> None:
        """Make them; nothing connects yet."""
        settings, broker = ground.settings, ground.config.broker
        self.known_by = IdentityFiles(settings, ground.judged_time)
        self.address = BrokerAddress(broker.host, broker.port, broker.keepalive_s, self.known_by)
        self.mqtt, self.bulk = MqttBroker(self.address), BulkBroker(self.address)
        self.uplink = Uplink(self.mqtt, ground.reporter, agent.hear, broker.keepalive_s, ground.said)
        link = LinkFile(settings.state_dir / "links.json", str(self.address))
        self._named = agent.named
        self._broker_source = BrokerSource(self.bulk, ground.reporter, link)
        self._folder = settings.file.parent

    def sources(self, config: AgentConfig) -> list[Source]:
        """Return the sources that a configuration names, in their order; relative paths start from its own folder."""
        delivery, tls = config.delivery, self.known_by.tls_context
        own = [HttpSource(f"{delivery.server.rstrip('/')}{ARTIFACTS_PATH}", tls, may_lead=True)] if delivery.server else []
        by_release = [NamedSource(self._named, delivery.release_hosts, HttpSource)] if delivery.release_hosts else []
        meant: dict[SourceName, list[Source]] = {
            "mqtt": [self._broker_source],
            "https": [*own, *(HttpSource(url) for url in delivery.urls), *by_release],
            "folder": [FolderSource(self._folder / delivery.folder)] if delivery.folder else [],
        }
        return [source for name in delivery.sources for source in meant[name]]


class Hall:
    """Where releases come in, are built, proved and served."""

    def __init__(self, ground: Ground, lines: Lines, agent: Agent) -> None:
        """Put it together by the settings in force."""
        config, kind, store, incoming = ground.config, ground.kind, ground.store, ground.incoming
        self.downloader = Downloader(lines.sources(config), incoming, pace_of(config))
        shortcut = Shortcut(store, incoming, self.downloader, PatcherProcess())
        fit = Fit(config.device.targets, frozenset(kind.runtimes))
        self.delivery = Delivery(store, incoming, shortcut, fit, ground.sensors)
        self.patience = patience_of(config, kind.patience, ground.reporter.identity.machine)
        serve, terms = config.serve, terms_of(config, self.patience, ground.settings)
        self.workers = WorkerLauncher(kind.command, store, serve.host, serve.port, terms)
        self.facts, notes = PlatformFacts(kind.system), ReleaseNotes(store.releases)
        engines = Engines(notes, self.facts, BuilderProcess(kind.builder), config.runtime)
        launcher = ProvingLauncher(
            self.workers, engines, self.facts, notes, Told(ground.reporter, agent.disprove, agent.may_do_without_engine)
        )
        watched_s, limits = config.update.probation_s, probation.Limits()
        shop = Workshop(store, self.delivery, engines, launcher, ground.reporter, watched_s, limits, ground.sensors, self.patience)
        self.workshop = workshop_of(config, shop, self.patience)


async def run(settings: Settings, kind: WorkerKind, stop: asyncio.Event) -> None:
    """Run the agent that `settings` describe, with what the fleet has set since, until `stop`."""
    ground, agent = Ground.of(settings, kind), Agent()
    lines = Lines(ground, agent)
    hall = Hall(ground, lines, agent)
    try:
        await agent.run(_parts(ground, lines, hall, agent), stop)
    finally:
        ground.close()
        hall.workers.close()


def _parts(ground: Ground, lines: Lines, hall: Hall, agent: Agent) -> Parts:
    """Return everything that runs beside each other."""
    config, reporter, interval_s = ground.config, ground.reporter, ground.config.telemetry.health_interval_s
    bulletin = Bulletin(Sources(reporter, lines.uplink, str(lines.address)), StatusFile(ground.settings.state_dir), interval_s)
    root_file = str(ground.settings.root_file)
    wishes = Wishes(ground.trust, VerifierProcess(), reporter, root_file, agent.follow)
    return Parts(
        reporter=reporter,
        keeping=Keeping(reporter, ground.outbox_files),
        uplink=lines.uplink,
        wishes=wishes,
        commands=_commands(ground, lines, hall, agent, wishes.turn),
        renewal=Renewal(lines.known_by, CredentialProcess(), lines.uplink, reporter, ground.judged_time),
        workshop=hall.workshop,
        inspection=Inspection(ground.store, hall.delivery, reporter),
        sensors=ground.sensors,
        system_watch=SystemWatch(hall.facts, reporter, config.runtime.look_s),
        notifier=ServiceNotifier(),
        bulletin=bulletin,
        health_interval_s=interval_s,
        configurator=Configurator(ground.opening, ground.kept, _panel(ground, lines, hall, agent, bulletin), reporter),
    )


def _commands(ground: Ground, lines: Lines, hall: Hall, agent: Agent, turn: anyio.Lock) -> Commands:
    """Return what commands can have done, within this device's configuration."""
    settings, config, kind, reporter = ground.settings, ground.config, ground.kind, ground.reporter
    album = Album(settings.state_dir / "pictures") if config.commands.snapshot else None
    bench = Bench(TrialProcess(kind.trial), ground.sensors, config.runtime, int(hall.patience.memory_bytes * DATA_SHARE))
    deeds = Deeds(agent.supervisor_of, Logbook(recent_log()), album, bench).by_kind
    judging = Judging(CommandVerifierProcess(), ground.trust, LedgerFile(settings.state_dir), str(settings.root_file), turn)
    answers = Answers(CommandRecords(settings.state_dir / "answers"), reporter, lines.uplink, ground.judged_time)
    return Commands(CommandGate(judging, reporter, ground.judged_time), deeds, answers)


def _panel(ground: Ground, lines: Lines, hall: Hall, agent: Agent, bulletin: Bulletin) -> Panel:
    """Return what the fleet's settings turn."""
    return Panel(
        agent=agent,
        uplink=lines.uplink,
        lines=(lines.mqtt, lines.bulk),
        address=lines.address,
        outbox=ground.outbox,
        bulletin=bulletin,
        store=ground.store,
        workers=hall.workers,
        downloader=hall.downloader,
        sources=lines.sources,
        workshop=hall.workshop,
        sensors=ground.sensors,
        settings=ground.settings,
        config=ground.config,
    )
