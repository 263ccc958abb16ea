"""What of a device takes commands: the real gate, verifier and files; it is its own voice, and may lose its link."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from pathlib import Path

import anyio
from securesystemslib.signer import CryptoSigner

from agent.adapters.command_records import CommandRecords
from agent.adapters.ledger_file import LedgerFile
from agent.adapters.outbox_files import OutboxFiles
from agent.adapters.trust_files import TrustFiles
from agent.command_verifier import verify
from agent.control.answers import Answers
from agent.control.command_gate import CommandGate, Judging
from agent.control.commands import Commands, Deed
from agent.control.reporter import Identity, Reporter
from agent.core.clock_floor import judged_now
from agent.core.command_verdict import CommandQuestion, CommandVerdict
from agent.core.memory import Memory
from agent.core.outbox import Outbox
from agent.core.shelf import Limits
from contracts.agent_config import DeviceSection
from contracts.commands import (
    COMMAND_PAYLOAD_TYPE,
    Command,
    CommandResult,
    Findings,
    Logs,
    Order,
    Picture,
    SnapshotOrder,
)
from contracts.mqtt_reasons import TAKEN
from contracts.topics import of_command
from tests.sim.repository import Repository
from tests.sim.signed import sealed
from tests.sim.small_device import MACHINE

DEVICE = "pi-1"
NOW = datetime.now(timezone.utc).replace(microsecond=0)
LOGS = Logs(source="memory", text="a line")
PICTURE = Picture(model="digits", jpeg="cGljdHVyZQ==")


class VerifierAtHand:
    """The real verifier, without a process of its own, at a time that the test sets."""

    def __init__(self) -> None:
        """Judge now."""
        self.clock = NOW
        self.asked = 0

    async def ask(self, question: CommandQuestion) -> CommandVerdict:
        """Judge."""
        self.asked += 1
        return verify(question, self.clock)


class Device:
    """What of a device takes commands, and a fleet's repository that it believes; it is the voice that results go out by."""

    def __init__(self, folder: Path) -> None:
        """Provision it."""
        self.folder = folder
        self.repository = Repository()
        (folder / "root.json").write_bytes(self.repository.root)
        self.files = TrustFiles(folder / "state")
        self.hear_trust()
        self.verifier = VerifierAtHand()
        self.outbox = Outbox(OutboxFiles(folder / "outbox"), Limits(1 << 20, 3600.0), time.monotonic)
        self.reporter = Reporter(Identity(DeviceSection(id=DEVICE, hardware="cpu"), "0", {}, MACHINE, "0" * 16), Memory(), self.outbox)
        self.obeyed: list[Order] = []
        self.results: list[CommandResult] = []
        self.records = CommandRecords(folder / "state" / "answers")
        self.is_linked = True
        # So many results find a broker that has nobody to give them to.
        # What the broker answers instead of taking a result, one after the other.
        self.answers: list[int] = []
        self.deadline_s = 30.0
        self.work: Callable[[], Awaitable[object]] = at_once

    def hear_trust(self) -> None:
        """Have all that the fleet published."""
        for name, raw in self.repository.files.items():
            self.files.put(name, raw)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Commands]:
        """Take commands for as long as the block lasts."""
        judging = Judging(self.verifier, self.files, LedgerFile(self.folder / "state"), str(self.folder / "root.json"), anyio.Lock())
        gate = CommandGate(judging, self.reporter, lambda: judged_now(self.verifier.clock, self.files.memory().floor))
        deed = Deed(self.obey, self.deadline_s)
        answers = Answers(self.records, self.reporter, self, lambda: self.verifier.clock)
        commands = Commands(gate, {"logs": deed, "golden": deed, "snapshot": deed}, answers)
        task = asyncio.ensure_future(commands.run())
        try:
            yield commands
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def obey(self, order: Order) -> Findings:
        """Do what was asked."""
        self.obeyed.append(order)
        await self.work()
        return PICTURE if isinstance(order, SnapshotOrder) else LOGS

    async def deliver(self, leaf: str, payload: bytes) -> int | None:
        """Take a result, while there is a link, and as the broker answers."""
        if not self.is_linked:
            return None
        if self.answers:
            return self.answers.pop(0)
        self.results.append(CommandResult.model_validate_json(payload))
        assert leaf == f"command/{self.results[-1].command}/result"
        return TAKEN

    def say(self, commands: Commands, command: Command, signer: CryptoSigner | None = None) -> bytes:
        """Publish a command to it."""
        raw = sealed(command, COMMAND_PAYLOAD_TYPE, signer or self.repository.director)
        assert commands.hear(of_command(DEVICE, command.id), raw)
        return raw

    async def ended(self, command: Command) -> CommandResult:
        """Wait for a command's end."""
        await until(lambda: any(said.command == command.id and said.state != "running" for said in self.results))
        return next(said for said in self.results if said.command == command.id and said.state != "running")

    async def refusal(self) -> str:
        """Wait for a refusal, and return its class."""
        await until(lambda: bool(self.files.memory().refused))
        return next(iter(self.files.memory().refused))


async def at_once() -> None:
    """Be done."""


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is true."""
    with anyio.fail_after(90):
        while not is_so():  # noqa: ASYNC110 - no event of ours tells of it
            await asyncio.sleep(0.01)


def play(folder: Path, part: Callable[[Device], Awaitable[None]]) -> None:
    """Play with a device."""
    asyncio.run(asyncio.wait_for(part(Device(folder)), 200))
