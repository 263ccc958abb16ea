"""What obeying commands needs: who judges them, what was obeyed before, and what they are carried out with."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Protocol

from agent.core.command_ledger import CommandLedger
from agent.core.command_record import CommandRecord
from agent.core.command_verdict import CommandQuestion, CommandVerdict
from agent.core.trial import TrialAnswer, TrialOrder
from contracts.commands import Logs


class CommandVerifier(Protocol):
    """Who judges a command."""

    async def ask(self, question: CommandQuestion) -> CommandVerdict:
        """Return the verdict; raise VerifierError when there is none."""


class Ledger(Protocol):
    """Which commands were obeyed."""

    def load(self, now: datetime) -> CommandLedger:
        """Return what was kept last; when it cannot be read, one that trusts nothing issued before now."""

    def keep(self, ledger: CommandLedger) -> None:
        """Keep it for good; raise StateError."""


class CommandRecords(Protocol):
    """What is kept of commands until their results arrived; what the disk refuses is a StateError."""

    def load(self) -> list[CommandRecord]:
        """Return what the process before left, oldest first."""

    def keep(self, record: CommandRecord) -> None:
        """Keep it for good."""

    def drop(self, command: str) -> None:
        """Forget a command, if it is kept."""


class Voice(Protocol):
    """What brings results to the fleet."""

    async def deliver(self, leaf: str, payload: bytes) -> int | None:
        """Send what is kept elsewhere until it arrived; return the broker's reason code, None without a link."""


class Logbook(Protocol):
    """What the agent logged."""

    async def tail(self, lines: int) -> Logs:
        """Return the last lines."""


class Album(Protocol):
    """Where workers put pictures."""

    def page(self, name: str) -> Path:
        """Return where a picture is to be put."""

    def take(self, name: str) -> bytes:
        """Return a picture and forget it; raise CommandError."""

    def drop(self, name: str) -> None:
        """Forget a picture, if there is one."""


class Trials(Protocol):
    """Who runs a release beside the worker that serves it."""

    async def run(self, order: TrialOrder) -> TrialAnswer:
        """Return how it went; raise CommandError."""
