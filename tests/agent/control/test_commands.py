"""Commands on the device: judged by the real verifier, carried out one of a kind at a time, within their time, and answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import anyio
import pytest
from securesystemslib.signer import CryptoSigner

from agent.adapters.ledger_file import LedgerFile
from agent.adapters.outbox_files import OutboxFiles
from agent.adapters.trust_files import TrustFiles
from agent.command_verifier import verify
from agent.control.command_gate import MAX_AT_ONCE, CommandGate, Judging
from agent.control.commands import Commands, Deed
from agent.control.reporter import Identity, Reporter
from agent.core.clock_floor import judged_now
from agent.core.command_verdict import CommandQuestion, CommandVerdict
from agent.core.memory import Memory
from agent.core.outbox import Outbox
from agent.core.shelf import Limits
from agent.errors import CommandError, RefusedCommandError
from contracts.agent_config import DeviceSection
from contracts.commands import COMMAND_PAYLOAD_TYPE, Command, CommandResult, Findings, GoldenOrder, Logs, LogsOrder, Order
from contracts.messages import DeviceEvent
from contracts.topics import of_command
from tests.sim.fleet import Repository, command_for, envelope, sealed, wish_for
from tests.sim.small_device import MACHINE

DEVICE = "pi-1"
NOW = datetime.now(timezone.utc).replace(microsecond=0)
LOGS = Logs(source="memory", text="a line")


class LaterCommand(Command):
    """What a newer fleet may say."""

    dry_run: bool = True


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
        self.is_linked = True
        self.deadline_s = 30.0
        self.work: Callable[[], Awaitable[object]] = _at_once

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
        commands = Commands(gate, {"logs": deed, "golden": deed}, self.reporter, self)
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
        return LOGS

    async def deliver(self, leaf: str, payload: bytes) -> bool:
        """Take a result, while there is a link."""
        if self.is_linked:
            self.results.append(CommandResult.model_validate_json(payload))
            assert leaf == f"command/{self.results[-1].command}/result"
        return self.is_linked

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


async def _at_once() -> None:
    """Be done."""


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is true."""
    with anyio.fail_after(20):
        while not is_so():  # noqa: ASYNC110 - no event of ours tells of it
            await asyncio.sleep(0.01)


def play(folder: Path, part: Callable[[Device], Awaitable[None]]) -> None:
    """Play with a device."""
    asyncio.run(asyncio.wait_for(part(Device(folder)), 60))


def test_a_genuine_command_is_obeyed_remembered_noted_and_answered(tmp_path: Path) -> None:
    async def part(device: Device) -> None:
        command = command_for(DEVICE, LogsOrder(lines=7))
        async with device.running() as commands:
            device.say(commands, command)
            assert (await device.ended(command)).findings == LOGS
        assert [said.state for said in device.results] == ["running", "ok"]
        assert device.obeyed == [LogsOrder(lines=7)]
        letter = device.outbox.first()
        assert letter is not None
        event = DeviceEvent.model_validate_json(letter.payload)
        assert (event.kind, event.text) == ("command", "anna asked for logs lines 7: ok")
        assert device.files.memory().floor is not None

    play(tmp_path, part)


@pytest.mark.parametrize("attack", ["wish", "unsupported", "topic", "old_director", "behind", "repeated", "unreadable_ledger"])
def test_what_is_no_command_for_now_is_refused_by_its_class(tmp_path: Path, attack: str) -> None:
    async def part(device: Device) -> None:
        command = command_for(DEVICE, LogsOrder(), now=NOW)
        topic, director = of_command(DEVICE, command.id), device.repository.director
        raw, expected = sealed(command, COMMAND_PAYLOAD_TYPE, director), "forged"
        if attack == "wish":
            raw = envelope(wish_for(DEVICE, 1, ()), director)
        elif attack == "unsupported":
            later = LaterCommand(**command.model_dump())
            raw, expected = sealed(later, COMMAND_PAYLOAD_TYPE, director), "unsupported"
        elif attack == "topic":
            topic = of_command(DEVICE, "0" * 32)
        elif attack == "old_director":
            device.repository.name_director(CryptoSigner.generate_ed25519())
            device.hear_trust()
        elif attack == "behind":
            # The clock is behind; what was signed since tells that the command has ended.
            device.repository.sign(issued_at=NOW + timedelta(hours=1))
            device.hear_trust()
            async with device.running() as commands:
                device.say(commands, newer := command_for(DEVICE, GoldenOrder(), now=NOW + timedelta(hours=1)))
                await device.ended(newer)
            device.verifier.clock, expected = NOW - timedelta(days=1), "expired"
        elif attack == "repeated":
            async with device.running() as commands:
                device.say(commands, command)
                await device.ended(command)
            expected = "replayed"
        elif attack == "unreadable_ledger":
            (device.folder / "state" / "commands.json").write_bytes(b"rubbish")
            device.verifier.clock, expected = command.issued_at + timedelta(seconds=1), "replayed"
        obeyed = len(device.obeyed)
        async with device.running() as commands:
            commands.hear(topic, raw)
            assert await device.refusal() == expected
        assert len(device.obeyed) == obeyed

    play(tmp_path, part)


def test_a_command_that_cannot_be_remembered_is_not_obeyed(tmp_path: Path) -> None:
    async def part(device: Device) -> None:
        (device.folder / "state" / ".commands.json.new" / "in the way").mkdir(parents=True)
        async with device.running() as commands:
            device.say(commands, command_for(DEVICE, LogsOrder()))
            await until(lambda: device.verifier.asked == 1)
            await asyncio.sleep(0.2)
        assert (device.obeyed, device.results) == ([], [])

    play(tmp_path, part)


def test_what_hangs_is_ended_in_time_and_a_second_of_its_kind_is_refused_meanwhile(tmp_path: Path) -> None:
    async def part(device: Device) -> None:
        device.work, device.deadline_s = asyncio.Event().wait, 1.0
        first, second, other = (command_for(DEVICE, order) for order in (LogsOrder(), LogsOrder(), GoldenOrder()))
        async with device.running() as commands:
            for command in (first, second, other):
                device.say(commands, command)
            assert (await device.ended(second)).reason == "logs: expected none under way, found one; wait for its end"
            assert (await device.ended(first)).reason == "logs: expected it to end within 1 s, found it still under way"
            assert (await device.ended(other)).state == "failed"
            device.work = _at_once
            device.say(commands, third := command_for(DEVICE, LogsOrder()))
            assert (await device.ended(third)).state == "ok"

    play(tmp_path, part)


@pytest.mark.parametrize(("error", "state"), [(CommandError("no such thing"), "failed"), (RefusedCommandError("not here"), "refused")])
def test_a_failure_is_answered_in_its_own_words(tmp_path: Path, error: CommandError, state: str) -> None:
    async def fail() -> None:
        raise error

    async def part(device: Device) -> None:
        device.work = fail
        async with device.running() as commands:
            device.say(commands, command := command_for(DEVICE, LogsOrder()))
            result = await device.ended(command)
        assert (result.state, result.reason) == (state, str(error))

    play(tmp_path, part)


def test_whoever_can_publish_all_he_likes_gets_little_of_the_processor(tmp_path: Path) -> None:
    async def part(device: Device) -> None:
        thief = CryptoSigner.generate_ed25519()
        async with device.running() as commands:
            for _ in range(200):
                device.say(commands, command_for(DEVICE, LogsOrder()), thief)
                await asyncio.sleep(0.001)
            await until(lambda: device.files.memory().refused.get("forged", 0) > 1)
        assert device.verifier.asked <= MAX_AT_ONCE + 2
        assert device.obeyed == []

    play(tmp_path, part)


def test_a_result_waits_for_the_link(tmp_path: Path) -> None:
    async def part(device: Device) -> None:
        device.is_linked = False
        async with device.running() as commands:
            device.say(commands, command := command_for(DEVICE, LogsOrder()))
            await until(lambda: len(device.obeyed) == 1)
            device.is_linked = True
            assert (await device.ended(command)).state == "ok"
        assert [said.state for said in device.results] == ["running", "ok"]

    play(tmp_path, part)
