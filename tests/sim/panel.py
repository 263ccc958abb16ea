"""A panel of dials behind which there is nothing, a disk that its agent dies at, and a life of settings between the two."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from agent.adapters.configuration_files import ConfigurationFiles
from agent.adapters.outbox_files import OutboxFiles
from agent.control.configurator import Configurator, opened
from agent.control.reporter import Identity, Reporter, utc_now
from agent.core.configuring import Ground, Signs
from agent.core.memory import Memory
from agent.core.outbox import Outbox
from agent.core.shelf import Limits
from agent.core.update import Update
from contracts.agent_config import AgentConfig, DeviceSection
from contracts.configuration import Configuration
from contracts.lifecycle import FINAL
from contracts.messages import Machine, ModelReport

PROBATION_S = 0.02
WAIT_S = 90.0
MACHINE = Machine(architecture="sim", system="sim", python="3", cpu_count=1, memory_bytes=1 << 30, disk_bytes=1 << 30)


class DiedError(Exception):
    """The agent is no more."""


class MortalFiles(ConfigurationFiles):
    """Real files, at one use of which the agent dies: before anything has happened, or after all has."""

    def __init__(self, root: Path, dies_at: int | None = None, *, is_late: bool = False) -> None:
        """Die at the use of this number, counted from 1."""
        super().__init__(root)
        self._left = dies_at
        self._is_late = is_late

    def save(self, update: Update) -> None:
        """Remember the machine, or die."""
        self._count(is_late=False)
        super().save(update)
        self._count(is_late=True)

    def put(self, configuration: Configuration) -> None:
        """Keep a configuration, or die."""
        self._count(is_late=False)
        super().put(configuration)
        self._count(is_late=True)

    def collect(self, needed: Collection[str]) -> None:
        """Forget the others, or die."""
        self._count(is_late=False)
        super().collect(needed)
        self._count(is_late=True)

    def _count(self, *, is_late: bool) -> None:
        if self._left is not None and is_late is self._is_late:
            self._left -= 1
            if self._left == 0:
                raise DiedError


@dataclass
class Panel:
    """What was turned is remembered; what shows itself is what a test says."""

    seen: Signs = field(default_factory=lambda: Signs(is_linked=True, is_health_sent=True))
    turned: list[AgentConfig] = field(default_factory=list)
    # So often a model is found on trial.
    busy_looks: int = 0

    @property
    def is_trying(self) -> bool:
        """Say whether a model is on trial, for as often as a test says so."""
        self.busy_looks -= 1
        return self.busy_looks >= 0

    def turn(self, config: AgentConfig) -> None:
        """Remember it."""
        self.turned.append(config)

    async def ground(self, _: AgentConfig) -> Ground:
        """Have room for everything."""
        return Ground(memory_bytes=1 << 40, disk_free_bytes=1 << 40, waiting_bytes=0, has_folder=True)

    def doubt(self) -> None:
        """Show the same again."""

    def signs(self) -> Signs:
        """Show what the test says."""
        return self.seen


@dataclass(frozen=True)
class Life:
    """How one run of an agent went: the settings it began with, what it told last, and whether it died."""

    began_with: AgentConfig
    report: ModelReport | None
    has_died: bool
    turned: tuple[AgentConfig, ...]


async def live(folder: Path, base: AgentConfig, wanted: Configuration, files: ConfigurationFiles, panel: Panel) -> Life:
    """Start on what lies in a folder, hear the wish, and go on until it came to an end or the agent to its own."""
    opening = opened(files, base, utc_now())
    outbox = Outbox(OutboxFiles(folder / "outbox"), Limits(1 << 20, 3600.0), time.monotonic)
    reporter = Reporter(Identity(DeviceSection(id="pi-1", hardware="cpu"), "0", {}, MACHINE, "0" * 16), Memory(), outbox)
    configurator = Configurator(opening, files, panel, reporter)
    run = asyncio.ensure_future(configurator.run())
    configurator.wish(wanted, 2)
    end_s = time.monotonic() + WAIT_S
    has_ended = False
    while not run.done() and not has_ended:
        assert time.monotonic() < end_s, f"no end in sight: {reporter.configuration}"
        was_over = _is_over(reporter.configuration, wanted)
        # What the end leaves to do, it may die of, too; and an end that it remembers from before may be the beginning of another try.
        await asyncio.sleep(0.02 if was_over else 0.005)
        has_ended = was_over and _is_over(reporter.configuration, wanted)
    has_died = run.done()
    run.cancel()
    await asyncio.wait([run])
    return Life(opening.config, reporter.configuration, has_died, tuple(panel.turned))


def _is_over(report: ModelReport | None, wanted: Configuration) -> bool:
    last = None if report is None else report.last
    return report is not None and last is not None and last.release.manifest_sha256 == wanted.sha256 and report.phase in FINAL
