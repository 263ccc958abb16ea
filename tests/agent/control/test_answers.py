"""Answers to commands outlive the agent that gave them, bounded and for a while; a picture does not, and what it died over is named."""

from __future__ import annotations

import asyncio
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from agent.adapters.command_records import CommandRecords
from agent.control.answers import INTERRUPTED, MAX_RESULT_AGE_S
from agent.core.command_record import CommandRecord
from agent.core.waiting_results import MAX_RESULTS
from agent.errors import StateError
from contracts.commands import (
    GoldenOrder,
    LogsOrder,
    SnapshotOrder,
)
from contracts.messages import DeviceEvent
from contracts.mqtt_reasons import NO_MATCHING_SUBSCRIBERS, PACKET_TOO_LARGE, TAKEN
from tests.sim.commanded import DEVICE, LOGS, NOW, PICTURE, Device, play, until
from tests.sim.signed import command_for


def test_a_result_that_found_no_link_is_sent_by_the_next_agent_and_then_forgotten(tmp_path: Path) -> None:
    async def part(device: Device) -> None:
        # Given a result that nobody has acknowledged when the agent ends
        device.is_linked = False
        async with device.running() as commands:
            device.say(commands, command := command_for(DEVICE, LogsOrder()))
            await until(lambda: any(record.result for record in device.records.load()))
        # When the next one has a link
        device.is_linked = True
        device.results.clear()
        async with device.running():
            assert (await device.ended(command)).findings == LOGS
            await until(lambda: device.records.load() == [])
        # Then it was sent once, and the command carried out once
        async with device.running():
            await asyncio.sleep(0.1)
        assert [said.state for said in device.results] == ["ok"]
        assert len(device.obeyed) == 1

    play(tmp_path, part)


@pytest.mark.parametrize("answers", [[NO_MATCHING_SUBSCRIBERS] * 2, [0x97, 0x87]])
def test_a_result_that_is_not_taken_from_the_device_is_sent_again_until_it_is(tmp_path: Path, answers: list[int]) -> None:
    async def part(device: Device) -> None:
        device.answers = [*answers]
        async with device.running() as commands:
            device.say(commands, command := command_for(DEVICE, LogsOrder()))
            assert (await device.ended(command)).findings == LOGS
            await until(lambda: device.records.load() == [])
        assert (device.answers, [said.state for said in device.results]) == ([], ["running", "ok"])

    play(tmp_path, part)


def test_a_result_that_the_broker_never_takes_is_replaced_by_why_there_is_none(tmp_path: Path) -> None:
    async def part(device: Device) -> None:
        device.answers = [TAKEN, PACKET_TOO_LARGE]
        async with device.running() as commands:
            device.say(commands, command := command_for(DEVICE, SnapshotOrder()))
            result = await device.ended(command)
            await until(lambda: device.records.load() == [])
        assert (result.state, result.reason) == ("failed", "the broker refuses the answer: packet too large (0x95)")
        # And a refusal of that too is the end of it
        device.answers = [TAKEN, PACKET_TOO_LARGE, 0x99]
        async with device.running() as commands:
            device.say(commands, command_for(DEVICE, SnapshotOrder()))
            await until(lambda: not device.answers and device.records.load() == [])

    play(tmp_path, part)


def test_a_command_over_which_the_agent_ended_is_reported_as_such_and_noted(tmp_path: Path) -> None:
    async def part(device: Device) -> None:
        device.work = asyncio.Event().wait
        async with device.running() as commands:
            device.say(commands, command := command_for(DEVICE, GoldenOrder()))
            await until(lambda: len(device.obeyed) == 1)
        async with device.running():
            result = await device.ended(command)
            await until(lambda: device.records.load() == [])
        assert (result.state, result.reason) == ("failed", INTERRUPTED)
        assert len(device.obeyed) == 1
        letter = device.outbox.first()
        assert letter is not None
        assert f"anna asked for golden: failed, {INTERRUPTED}" in DeviceEvent.model_validate_json(letter.payload).text

    play(tmp_path, part)


def test_a_picture_never_lies_on_the_disk_and_is_reported_lost_with_the_agent(tmp_path: Path) -> None:
    async def part(device: Device) -> None:
        device.is_linked = False
        async with device.running() as commands:
            device.say(commands, command := command_for(DEVICE, SnapshotOrder()))
            await until(lambda: len(device.obeyed) == 1)
            await asyncio.sleep(0.1)
        assert not any(PICTURE.jpeg in file.read_text(errors="replace") for file in device.folder.rglob("*") if file.is_file())
        device.is_linked = True
        async with device.running():
            assert (await device.ended(command)).reason == INTERRUPTED

    play(tmp_path, part)


@pytest.mark.parametrize("days", [1, 30])
def test_a_result_of_no_use_to_anybody_any_more_is_not_sent(tmp_path: Path, days: int) -> None:
    async def part(device: Device) -> None:
        device.is_linked = False
        async with device.running() as commands:
            device.say(commands, command_for(DEVICE, LogsOrder()))
            await until(lambda: any(record.result for record in device.records.load()))
        device.results.clear()
        device.is_linked, device.verifier.clock = True, NOW + timedelta(days=days, seconds=MAX_RESULT_AGE_S)
        async with device.running():
            await until(lambda: device.records.load() == [])
        assert device.results == []

    play(tmp_path, part)


def test_what_is_kept_of_commands_is_bounded_and_rubbish_is_removed(tmp_path: Path) -> None:
    records = CommandRecords(tmp_path / "answers")
    commands = [command_for(DEVICE, LogsOrder()) for _ in range(MAX_RESULTS + 3)]
    for number, command in enumerate(commands):
        records.keep(CommandRecord(command=command, until=NOW + timedelta(seconds=number), result="{}"))
    (tmp_path / "answers" / "rubbish.json").write_bytes(b"{")
    assert [record.command for record in records.load()] == commands[3:]
    assert len(list((tmp_path / "answers").iterdir())) == MAX_RESULTS
    # A disk that does not take them keeps no command from being answered
    shutil.rmtree(tmp_path / "answers")
    (tmp_path / "answers").write_bytes(b"in the way")
    with pytest.raises(StateError):
        records.keep(CommandRecord(command=commands[0], until=NOW))


def test_a_disk_that_takes_nothing_keeps_no_command_from_being_answered(tmp_path: Path) -> None:
    async def part(device: Device) -> None:
        (device.folder / "state" / "answers").write_bytes(b"in the way")
        async with device.running() as commands:
            device.say(commands, command := command_for(DEVICE, LogsOrder()))
            assert (await device.ended(command)).state == "ok"

    play(tmp_path, part)
