"""Two servers of one fleet, on one PostgreSQL and one broker that neither of them runs: one leads, and the other when it dies."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from fleet.leading import POLL_S
from fleet.store.database import Database
from fleet.store.leader import SharedLeader
from fleet.store.place import PostgresUrl
from fleet.store.postgres import LEADER_LOCK
from tests.fleet.bundles import make_bundle
from tests.fleet.databases import new_place, postgres
from tests.fleet.server import FleetProcess, fieldfare, wait_for
from tests.live.mosquitto import Mosquitto
from tests.sim.device import SimDevice

TAKEOVER_S = 10.0


def leading_session(name: str) -> str:
    """Return the database session that leads; nothing when none does."""
    low, high = LEADER_LOCK & 0xFFFFFFFF, LEADER_LOCK >> 32
    held = f"locktype = 'advisory' AND granted AND classid = {high} AND objid = {low}"
    database = f"database = (SELECT oid FROM pg_database WHERE datname = '{name}')"
    return postgres().do(f"SELECT pid FROM pg_locks WHERE {held} AND {database}")


class Pair:
    """The servers, their broker and their database."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        """Start the first, then the broker with what the first made for it, then the second."""
        place = postgres().new_database()
        self.name = place.shown.rpartition("/")[2]
        home = folder / "home"
        self.broker = Mosquitto(folder / "broker", home / "authority" / "server.pem", home / "authority" / "ca.pem")
        options = ("--database", postgres().url(self.name), "--broker", f"127.0.0.1:{self.broker.port}")
        self.first = stack.enter_context(FleetProcess(home, None, *options))
        self.broker.start()
        stack.callback(self.broker.stop)
        wait_for(lambda: leading_session(self.name))
        self.second = stack.enter_context(FleetProcess(home, None, *options))

    def api(self, server: FleetProcess) -> httpx.Client:
        """Ask one of them, whatever file the other left last."""
        headers = {"Authorization": f"Bearer {server.connection['token']}"}
        return httpx.Client(base_url=f"http://127.0.0.1:{server.port}/api/v1/", headers=headers, timeout=30)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with ExitStack() as stack:
        yield Pair(tmp_path, stack)


def test_a_leader_killed_in_mid_rollout_is_replaced_and_nothing_is_doubled_or_lost(
    pair: Pair, tmp_path: Path, tell: Callable[[str], None]
) -> None:
    # Given a folder that no server can have for itself now
    alone = pair.first.run("fleet", "up")
    assert (alone.returncode, "expected no running fleet server, found one" in alone.stderr) == (2, True)
    # And six devices, let in by either server, and a release that the one who does not lead was given
    folders = [(pair.first, pair.second)[number % 2].add_device(f"pi-{number}") for number in range(6)]
    devices = [SimDevice(folder) for folder in folders]
    make_bundle(tmp_path / "b", release=1)
    pair.second.ask("release", "add", str(tmp_path / "b"))
    with ExitStack() as running, pair.api(pair.second) as api:
        # When it is rolled out, and half the devices have it
        for device in devices[:3]:
            running.enter_context(device)
        api.post("rollouts", json={"model": "digits", "query": "all"}).raise_for_status()
        wait_for(lambda: api.get("rollouts/1").json()["counts"].get("committed") == 3)
        before = {device.id: device.send_event("before") for device in devices[:3]}
        wait_for(lambda: all(_said(api, name) == ["before"] for name in before))
        # And the leader is killed
        leader = leading_session(pair.name)
        killed_s = time.monotonic()
        pair.first.stop(signal.SIGKILL)
        for device in devices[:3]:
            device.send_event("meanwhile")
        # Then the other leads
        wait_for(lambda: leading_session(pair.name) not in ("", leader), seconds=TAKEOVER_S)
        tell(f"another server led {time.monotonic() - killed_s:.1f} s after the leader was killed")
        for device in devices[3:]:
            running.enter_context(device)
        ended = wait_for(lambda: view if (view := api.get("rollouts/1").json())["state"] != "running" else None)
        wait_for(lambda: all(_said(api, name) == ["before", "meanwhile"] for name in before))
        details = [api.get(f"devices/{device.id}").json() for device in devices]
    # And every device has the release, wished of it once, and had no reason to complain
    assert (ended["state"], ended["counts"]) == ("succeeded", {"committed": 6})
    assert Counter(detail["generation_desired"] for detail in details) == {2: 6}
    assert Counter(detail["generation_reported"] for detail in details) == {2: 6}
    assert [device.problems for device in devices] == [[]] * 6


def _said(api: httpx.Client, device: str) -> list[str]:
    events = api.get(f"devices/{device}").json()["events"]
    return sorted(event["text"] for event in events if event["kind"] == "link")


def test_servers_share_no_broker_without_a_database_to_share(tmp_path: Path) -> None:
    done = fieldfare(tmp_path / "home", "fleet", "up", "--broker", "127.0.0.1:1883")

    assert done.returncode == 2
    assert done.stderr.startswith("error: --broker 127.0.0.1:1883: expected a database that servers share, found a file")


def test_one_leads_and_another_once_it_gives_up_or_its_session_is_ended(tmp_path: Path) -> None:
    # Given three servers of one database
    place = new_place("postgres", tmp_path)
    assert isinstance(place, PostgresUrl)
    databases = [Database(place) for _ in range(3)]
    one, two, three = (SharedLeader(database) for database in databases)
    # Then one leads
    assert one.take()
    assert not two.take()
    assert (one.is_held(), two.is_held()) == (True, False)
    # And another once it gave up
    one.give_up()
    wait_for(two.take)
    assert not one.is_held()
    # And another once the database lost it, which the one that led notices
    postgres().do(f"SELECT pg_terminate_backend({leading_session(place.shown.rpartition('/')[2])})")
    wait_for(three.take, seconds=POLL_S + TAKEOVER_S)
    assert not two.is_held()
    assert not two.take()
    three.give_up()
    for database in databases:
        database.close()
