"""What taking up settings from the fleet needs of the disk, and of the parts that are set."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from agent.core.configuring import Ground, Signs
from agent.core.update import Update
from contracts.agent_config import AgentConfig
from contracts.configuration import Configuration
from contracts.messages import ReleaseRef


class ConfigurationFiles(Protocol):
    """The state on disk; what the disk refuses is a StateError."""

    def load(self) -> Update:
        """Return the machine."""

    def save(self, update: Update) -> None:
        """Remember it."""

    def read(self, ref: ReleaseRef) -> Configuration | None:
        """Return a configuration; None when it is not here, or damaged."""

    def put(self, configuration: Configuration) -> None:
        """Keep it."""

    def collect(self, needed: Collection[str]) -> None:
        """Forget all others."""


class Dials(Protocol):
    """The parts of a running agent that can be set."""

    def turn(self, config: AgentConfig) -> None:
        """Let a configuration be in force; what it does not change goes on undisturbed."""

    async def ground(self, config: AgentConfig) -> Ground:
        """Say what of the device it has to fit."""

    @property
    def is_trying(self) -> bool:
        """Say whether a model's release is being tried, which other settings would disturb."""

    def doubt(self) -> None:
        """Hold everything for unproven until it has shown itself anew."""

    def signs(self) -> Signs:
        """Say what has shown itself since then."""
