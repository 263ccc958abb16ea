"""A database that stands still, dies, or has no room: nothing acknowledged is lost, memory stays, and the server goes on by itself."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from tests.fleet.server import FleetProcess, wait_for
from tests.fleet.test_two_servers import Talkers
from tests.live.postgres import WHY_NOT, Postgres
from tests.sim.device import SimDevice

DEVICES = 3
# Events that devices say while the database is away; each is some 300 bytes, and many times that as it waits in memory.
MEANWHILE = 500
# What a server may need more while its database is away: what it takes from the broker unacknowledged is bounded.
MAX_GROWTH_BYTES = 100 << 20
SECONDS = 120.0
MIB = 1 << 20
DISK_MIB = 48


def status(fleet: FleetProcess, path: str) -> int:
    return httpx.get(f"http://127.0.0.1:{fleet.port}/{path}", timeout=30).status_code


def memory_of(fleet: FleetProcess) -> int:
    assert fleet.process is not None
    return int(psutil.Process(fleet.process.pid).memory_info().rss)


@contextmanager
def talking(fleet: FleetProcess) -> Iterator[Talkers]:
    """Let devices talk without end, by the fleet's own mosquitto."""
    with ExitStack() as stack:
        devices = [stack.enter_context(SimDevice(fleet.add_device(f"pi-{number}"))) for number in range(DEVICES)]
        with Talkers(devices) as talkers:
            wait_for(lambda: talkers.count > 50)
            yield talkers


def goes_on_while_away(fleet: FleetProcess, talkers: Talkers) -> None:
    """The server lives and says that it is not ready; devices go on, and it does not grow by what they say."""
    wait_for(lambda: status(fleet, "readyz") == httpx.codes.SERVICE_UNAVAILABLE, seconds=SECONDS)
    before, count = memory_of(fleet), talkers.count
    wait_for(lambda: talkers.count > count + MEANWHILE, seconds=SECONDS)
    assert status(fleet, "readyz") == httpx.codes.SERVICE_UNAVAILABLE
    assert status(fleet, "healthz") == httpx.codes.OK
    assert memory_of(fleet) - before < MAX_GROWTH_BYTES


def in_order(rows: list[tuple[str, int]], said: dict[str, list[int]]) -> dict[str, list[int]]:
    """Return the numbers that were kept, by session."""
    found: dict[str, list[int]] = {session: [] for session in said}
    for session, number in rows:
        found[session].append(number)
    return {session: sorted(numbers) for session, numbers in found.items()}


@pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
def test_servers_acknowledge_nothing_while_postgresql_stands_still_or_is_dead_and_go_on_by_themselves(tmp_path: Path) -> None:
    with Postgres() as database, ExitStack() as stack:
        name = database.new_database().shown.rpartition("/")[2]

        def kept(said: dict[str, list[int]]) -> dict[str, list[int]]:
            rows = database.do("SELECT session, sequence FROM events WHERE text = 'still here'", name).splitlines()
            return in_order([(row.partition("|")[0], int(row.partition("|")[2])) for row in rows], said)

        fleet = stack.enter_context(FleetProcess(tmp_path / "home", None, "--database", database.url(name)))
        with talking(fleet) as talkers:
            # When the database stands still with all its sessions, as on a machine that swaps, and then goes on
            database.pause()
            goes_on_while_away(fleet, talkers)
            database.go_on()
            wait_for(lambda: status(fleet, "readyz") == httpx.codes.OK, seconds=SECONDS)
            # When it dies in the midst of all that waits, and is started again after a while
            database.die()
            goes_on_while_away(fleet, talkers)
            database.start()
            wait_for(lambda: status(fleet, "readyz") == httpx.codes.OK, seconds=SECONDS)
        # Then every event is there, once
        wait_for(lambda: kept(talkers.said) == talkers.said, seconds=SECONDS)
        # And the log told each time that messages wait, or that the server is not ready
        log = Path(fleet.log.name).read_text()
        assert log.count("fleet.health: not ready: ") == log.count("fleet.health: ready again") == 2
        assert "messages wait" in log


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a disk of some megabytes; skip the test where nobody may."""
    folder.mkdir()
    done = subprocess.run(("mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "fieldfare", str(folder)), capture_output=True, check=False)
    if done.returncode:
        pytest.skip("only root mounts a disk")
    try:
        yield folder
    finally:
        subprocess.run(("umount", "--lazy", str(folder)), check=True, timeout=30)


def fill(file: Path) -> None:
    """Take all the room that is left."""
    with file.open("wb", buffering=0) as stream:
        for block in (MIB, 4096, 1):
            with suppress(OSError):
                while stream.write(b"\0" * block) == block:
                    pass


def test_a_full_disk_under_sqlite_loses_nothing_and_the_server_goes_on_when_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "home") as disk, ExitStack() as stack:
        fleet = stack.enter_context(FleetProcess(disk))

        def kept(said: dict[str, list[int]]) -> dict[str, list[int]]:
            connection = sqlite3.connect(f"file:{disk / 'fleet.db'}?mode=ro", uri=True)
            rows = connection.execute("SELECT session, sequence FROM events WHERE text = 'still here'").fetchall()
            connection.close()
            return in_order(rows, said)

        with talking(fleet) as talkers:
            # When the disk is full, then the log says that messages wait, and for what
            fill(disk / "filler")
            wait_for(lambda: "messages wait" in (log := Path(fleet.log.name).read_text()) and "full" in log, seconds=SECONDS)
            before, count = memory_of(fleet), talkers.count
            wait_for(lambda: talkers.count > count + MEANWHILE, seconds=SECONDS)
            assert status(fleet, "healthz") == httpx.codes.OK
            assert memory_of(fleet) - before < MAX_GROWTH_BYTES
            # And when it has room again
            (disk / "filler").unlink()
        # Then every event is there, once
        wait_for(lambda: kept(talkers.said) == talkers.said, seconds=SECONDS)
