"""Commands on the device: judged by the real verifier, carried out one of a kind at a time, within their time, and answered."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from agent.control.command_gate import MAX_AT_ONCE
from agent.errors import CommandError, RefusedCommandError
from contracts.commands import (
    COMMAND_PAYLOAD_TYPE,
    Command,
    GoldenOrder,
    LogsOrder,
)
from contracts.messages import DeviceEvent
from contracts.topics import of_command
from tests.sim.commanded import DEVICE, LOGS, NOW, Device, at_once, play, until
from tests.sim.signed import command_for, envelope, sealed, wish_for


class LaterCommand(Command):
    """What a newer fleet may say."""

    dry_run: bool = True


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
        device.work, device.deadline_s = asyncio.Event().wait, 3.0
        first, second, other = (command_for(DEVICE, order) for order in (LogsOrder(), LogsOrder(), GoldenOrder()))
        async with device.running() as commands:
            for command in (first, second, other):
                device.say(commands, command)
            assert (await device.ended(second)).reason == "logs: expected none under way, found one; wait for its end"
            assert (await device.ended(first)).reason == "logs: expected it to end within 3 s, found it still under way"
            assert (await device.ended(other)).state == "failed"
            device.work = at_once
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
