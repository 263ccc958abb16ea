"""Ingest and broker die in mid-stream, as SIGKILL does it: what a device was told is kept, once."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

import psutil

from fleet.store.database import Database
from fleet.store.reader import StoreReader
from tests.fleet.server import wait_for
from tests.sim.uplink_stage import Program, Stage, mosquitto_of

DEVICES, MESSAGES = 5, 3000
CONSUMER = "tests.sim.ingest_process"


def rows(database: Path) -> list[tuple[str, int, int, int]]:
    """Return device, count, first and last number of what was committed."""
    connection = sqlite3.connect(database)
    try:
        query = "SELECT device, count(*), min(sequence), max(sequence) FROM inference_windows GROUP BY device ORDER BY device"
        return list(connection.execute(query))
    finally:
        connection.close()


def kept(database: Path) -> int:
    """Return how many windows were committed."""
    return sum(count for _, count, _, _ in rows(database))


def mosquitto_after(keeper: psutil.Process, pid: int) -> int | None:
    """Return the broker's process once it is another one."""
    for child in keeper.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if child.name() == "mosquitto" and child.pid != pid:
                return child.pid
    return None


def two_loads(stage: Stage) -> tuple[Program, Program]:
    """Prepare all devices but one, and that one: until it begins there is more to come, however late a test sees what came."""
    return stage.load(MESSAGES, stage.devices[:-1]), stage.load(MESSAGES, stage.devices[-1:])


def test_nothing_is_lost_or_doubled_when_ingest_and_then_the_broker_are_killed_in_mid_stream(tmp_path: Path) -> None:
    stage, database, total = Stage(tmp_path, DEVICES), tmp_path / "fleet.db", DEVICES * MESSAGES
    with stage.broker() as keeper:
        consumer = stage.consumer(CONSUMER, database, total * 10)
        # As the server does when its line is up
        mosquitto_of(keeper).send_signal(signal.SIGUSR1)
        load, rest = two_loads(stage)
        # Given devices that talk, and an ingest that keeps what they say
        consumer.go()
        load.go()
        wait_for(lambda: kept(database) > total // 5)
        # When ingest dies in mid-stream, and another takes its place
        consumer.kill()
        assert kept(database) < total
        rest.go()
        consumer = stage.consumer(CONSUMER, database, total * 10)
        consumer.go()
        wait_for(lambda: kept(database) > total // 2)
        # And then the broker
        killed = mosquitto_of(keeper)
        killed.kill()
        # Then everything comes, because devices say again what the broker may have forgotten
        wait_for(lambda: kept(database) == total, seconds=200)
        assert wait_for(lambda: mosquitto_after(keeper, killed.pid))
    # And what is there was counted once, and nothing is missing
    assert rows(database) == [(device, MESSAGES, 1, MESSAGES) for device in stage.devices]
    opened = Database(database)
    reader = StoreReader(opened, lambda: datetime.now(timezone.utc))
    assert [reader.device(device).gaps for device in stage.devices] == [()] * DEVICES
    opened.close()


def test_replicas_share_the_messages_and_one_that_was_killed_gets_its_own_when_it_is_back(tmp_path: Path) -> None:
    stage, database, total = Stage(tmp_path, DEVICES), tmp_path / "fleet.db", DEVICES * MESSAGES
    with stage.broker():
        # Given two replicas on one database
        one, other = (stage.consumer(CONSUMER, database, total * 10, replica) for replica in ("one", "other"))
        load, rest = two_loads(stage)
        one.go()
        other.go()
        load.go()
        # When one is killed in mid-stream, and comes back under its name
        wait_for(lambda: kept(database) > total // 4)
        one.kill()
        assert kept(database) < total
        rest.go()
        stage.consumer(CONSUMER, database, total * 10, "one").go()
        # Then everything is there, once
        wait_for(lambda: kept(database) == total, seconds=200)
        for each in (load, rest):
            each.go()
            assert each.result()["repeated"] == 0
    assert rows(database) == [(device, MESSAGES, 1, MESSAGES) for device in stage.devices]
    opened = Database(database)
    reader = StoreReader(opened, lambda: datetime.now(timezone.utc))
    assert [reader.device(device).gaps for device in stage.devices] == [()] * DEVICES
    opened.close()
