"""What the server keeps of commands: who asked, what was answered, once; nothing waits for ever, and pictures not for long."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from contracts.commands import (
    Benchmark,
    BenchmarkOrder,
    Command,
    CommandResult,
    Findings,
    Logs,
    LogsOrder,
    Order,
    Picture,
    SnapshotOrder,
    State,
)
from contracts.messages import ReleaseRef
from fleet.core.commands import ANSWER_GRACE, MAX_PENDING, PICTURE_LIFE, REPEAT, RUN_GRACE, new_command
from fleet.core.devices import Device
from fleet.core.enrolment import Issued
from fleet.errors.devices import TooManyCommandsError, UnknownCommandError, UnknownDeviceError
from fleet.errors.enrolment import RevokedError
from fleet.store.commands import CommandStore
from fleet.store.credentials import CredentialStore
from fleet.store.database import Database

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
SECOND, LIFE = timedelta(seconds=1), timedelta(seconds=300)
LOGS = Logs(source="file", text="a line")
BENCHMARK = Benchmark(
    release=ReleaseRef(model="digits", release=2, manifest_sha256="2" * 64),
    target="cpu",
    runtime="onnx 1",
    provider="CPU",
    precision="int8",
    threads=1,
    runs=5,
    mean_ms=2,
    p50_ms=2,
    p95_ms=3,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CommandStore]:
    database = Database(tmp_path / "fleet.db")
    for number, device in enumerate(("pi-1", "pi-2"), 1):
        issued = Issued("a certificate", f"{number:x}", "0" * 64, NOW, NOW + timedelta(days=365))
        CredentialStore(database).admit(Device(device, "rpi5", {}, NOW), f"secret-{number}", issued)
    CredentialStore(database).revoke("pi-2", NOW)
    yield CommandStore(database, timedelta(days=30))
    database.close()


def given(store: CommandStore, number: int, order: Order | None = None, at: datetime = NOW) -> Command:
    """Give a command."""
    command = new_command(f"{number:032x}", "pi-1", order or LogsOrder(), "anna", at, LIFE.total_seconds())
    store.add(command)
    return command


def say(command: Command, state: State, findings: Findings | None = None, reason: str = "") -> CommandResult:
    """Return what a device says."""
    return CommandResult(session="a" * 16, sequence=1, sent_at=NOW, command=command.id, state=state, findings=findings, reason=reason)


def test_the_first_end_is_the_end_and_what_comes_again_changes_nothing(store: CommandStore) -> None:
    command = given(store, 1)
    assert store.command("pi-1", command.id, NOW).state == "pending"
    for result in (say(command, "running"), say(command, "ok", LOGS), say(command, "failed"), say(command, "running")):
        assert store.answer("pi-1", result, NOW + SECOND)
    found = store.command("pi-1", command.id, NOW + timedelta(days=1))
    assert (found.state, found.findings, found.asker, found.answered_at) == ("ok", LOGS, "anna", NOW + SECOND)


def test_nobody_answers_for_another_or_what_was_not_asked(store: CommandStore) -> None:
    command = given(store, 1)
    assert not store.answer("pi-2", say(command, "ok", LOGS), NOW)
    assert not store.answer("pi-1", say(command.model_copy(update={"id": "f" * 32}), "ok"), NOW)
    assert not store.answer("pi-1", say(command, "ok", BENCHMARK), NOW)
    assert store.command("pi-1", command.id, NOW).state == "pending"


def test_a_command_is_told_again_until_a_device_takes_it_or_it_expires(store: CommandStore) -> None:
    command = given(store, 1)
    assert store.due(NOW, 10) == (command,)
    store.sent([command], NOW)
    assert store.due(NOW + REPEAT - SECOND, 10) == ()
    assert store.due(NOW + REPEAT, 10) == (command,)
    assert store.due(NOW + LIFE, 10) == ()
    store.answer("pi-1", say(command, "running"), NOW)
    assert store.due(NOW + REPEAT, 10) == ()


def test_nothing_waits_for_ever_and_a_late_answer_is_still_taken(store: CommandStore) -> None:
    silent, begun = given(store, 1), given(store, 2)
    store.answer("pi-1", say(begun, "running"), NOW)
    late = NOW + LIFE + ANSWER_GRACE + SECOND
    assert [each.state for each in store.commands("pi-1", late, 10).items] in (["running", "expired"], ["expired", "running"])
    assert store.command("pi-1", begun.id, NOW + LIFE + RUN_GRACE + SECOND).state == "expired"
    store.answer("pi-1", say(silent, "refused", reason="not here"), late)
    found = store.command("pi-1", silent.id, late)
    assert (found.state, found.reason) == ("refused", "not here")


def test_who_cannot_hear_is_not_asked_and_no_more_waits_than_may(store: CommandStore) -> None:
    for device, error in (("nobody", UnknownDeviceError), ("pi-2", RevokedError)):
        with pytest.raises(error):
            store.add(new_command("0" * 32, device, LogsOrder(), "anna", NOW, 60))
    for number in range(MAX_PENDING):
        given(store, number)
    with pytest.raises(TooManyCommandsError, match="fewer than 16"):
        given(store, 99)
    given(store, 100, at=NOW + LIFE + SECOND)
    with pytest.raises(UnknownCommandError):
        store.command("pi-2", f"{1:032x}", NOW)


def test_benchmarks_make_the_table_of_costs_newest_first(store: CommandStore) -> None:
    for number in (1, 2):
        command = given(store, number, BenchmarkOrder(runs=5))
        store.answer("pi-1", say(command, "ok", BENCHMARK.model_copy(update={"runs": number})), NOW + number * SECOND)
    store.answer("pi-1", say(given(store, 3, BenchmarkOrder()), "failed", reason="no"), NOW)
    costs = store.costs(10).items
    assert [(cost.hardware, cost.benchmark.runs, cost.measured_at) for cost in costs] == [
        ("rpi5", 2, NOW + 2 * SECOND),
        ("rpi5", 1, NOW + SECOND),
    ]
    first = store.costs(1)
    assert (first.items, store.costs(1, first.last).items) == (costs[:1], costs[1:])


def test_a_picture_goes_after_a_day_and_a_command_with_the_other_history(store: CommandStore) -> None:
    picture, log = given(store, 1, SnapshotOrder()), given(store, 2)
    store.answer("pi-1", say(picture, "ok", Picture(model="door", jpeg="AAAA")), NOW)
    store.answer("pi-1", say(log, "ok", LOGS), NOW)
    store.prune(NOW + PICTURE_LIFE + SECOND)
    assert [store.command("pi-1", each.id, NOW).findings for each in (picture, log)] == [None, LOGS]
    store.prune(NOW + timedelta(days=30, seconds=1))
    assert store.commands("pi-1", NOW, 10).items == ()
