"""What an agent stands on before anything runs: its settings in force, its state on the disk, and who speaks for it."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agent.adapters.configuration_files import ConfigurationFiles
from agent.adapters.incoming import Incoming
from agent.adapters.outbox_files import OutboxFiles
from agent.adapters.said_files import SaidFiles
from agent.adapters.sensors import Sensors
from agent.adapters.store import StateStore
from agent.adapters.trust_files import TrustFiles
from agent.config import Settings
from agent.control.configurator import Opening, opened
from agent.control.reporter import Identity, Reporter, utc_now
from agent.control.worker import Patience
from agent.core.clock_floor import judged_now
from agent.core.outbox import Outbox
from agent.core.said import Said
from agent.dials import outbox_limits, retention_of
from agent.runtimes.installed import installed_version
from contracts.agent_config import AgentConfig
from contracts.names import Runtime

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


@dataclass(frozen=True)
class Ground:
    """What stands before anything runs: the settings in force, the state on the disk, and who speaks for the device."""

    settings: Settings
    kind: WorkerKind
    kept: ConfigurationFiles
    opening: Opening
    store: StateStore
    sensors: Sensors
    trust: TrustFiles
    incoming: Incoming
    outbox_files: OutboxFiles
    outbox: Outbox
    reporter: Reporter
    said: Said

    @classmethod
    def of(cls, settings: Settings, kind: WorkerKind) -> Ground:
        """Open the state, and count this start."""
        folder = settings.state_dir
        kept = ConfigurationFiles(folder)
        opening = opened(kept, settings.config, utc_now())
        config, sensors, trust = opening.config, Sensors(folder), TrustFiles(folder)
        identity = Identity(
            config.device, installed_version("fieldfare") or "unknown", kind.runtimes, sensors.machine(), secrets.token_hex(8)
        )
        outbox_files = OutboxFiles(folder / "outbox")
        outbox = Outbox(outbox_files, outbox_limits(config), time.monotonic)
        return cls(
            settings=settings,
            kind=kind,
            kept=kept,
            opening=opening,
            store=StateStore(folder, retention_of(config)),
            sensors=sensors,
            trust=trust,
            incoming=Incoming(folder / "incoming"),
            outbox_files=outbox_files,
            outbox=outbox,
            reporter=Reporter(identity, trust.memory(), outbox),
            said=Said(SaidFiles(folder / "said"), time.monotonic()),
        )

    @property
    def config(self) -> AgentConfig:
        """Return agent.toml with what the fleet has set since."""
        return self.opening.config

    def judged_time(self) -> datetime:
        """Return the time, never behind the newest signed one."""
        return judged_now(utc_now(), self.trust.memory().floor)

    def close(self) -> None:
        """Let go of the files."""
        self.incoming.close()
        self.outbox_files.close()
