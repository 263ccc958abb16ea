"""Two servers of one fleet, on one PostgreSQL and one broker that neither of them runs: one leads, and the other when it dies."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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

# On a quiet machine it is a few seconds: how many is told.
TAKEOVER_S = 60.0


def leading_session(name: str) -> str:
    """Return the database session that leads; nothing when none does."""
    low, high = LEADER_LOCK & 0xFFFFFFFF, LEADER_LOCK >> 32
    held = f"locktype = 'advisory' AND granted AND classid = {high} AND objid = {low}"
    database = f"database = (SELECT oid FROM pg_database WHERE datname = '{name}')"
    return postgres().do(f"SELECT pid FROM pg_locks WHERE {held} AND {database}")


class Pair:
    """The servers, their broker and their database."""

    def __init__(self, folder: Path, stack: ExitStack, *, is_sharing: bool = False) -> None:
        """Start the first, then the broker with what the first made for it, then the second; both may take messages in."""
        place = postgres().new_database()
        self.name = place.shown.rpartition("/")[2]
        home = folder / "home"
        self.broker = Mosquitto(folder / "broker", home / "authority" / "server.pem", home / "authority" / "ca.pem")
        options = ("--database", postgres().url(self.name), "--broker", f"127.0.0.1:{self.broker.port}")
        one, two = (("--replica", name) if is_sharing else () for name in ("one", "two"))
        self.first = stack.enter_context(FleetProcess(home, None, *options, *one))
        self.broker.start()
        stack.callback(self.broker.stop)
        wait_for(lambda: leading_session(self.name))
        self.second = stack.enter_context(FleetProcess(home, None, *options, *two))

    def api(self, server: FleetProcess) -> httpx.Client:
        """Ask one of them, whatever file the other left last."""
        headers = {"Authorization": f"Bearer {server.connection['token']}"}
        return httpx.Client(base_url=f"http://127.0.0.1:{server.port}/api/v1/", headers=headers, timeout=60, verify=False)


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


class Talkers:
    """Devices that say one event after the other, until told to stop; nothing is rolled out to them."""

    def __init__(self, devices: Sequence[SimDevice]) -> None:
        """They are connected."""
        self._devices = devices
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._talk, name="talking")
        # By session.
        self.said: dict[str, list[int]] = {device.session: [] for device in devices}

    def __enter__(self) -> Talkers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join(60)

    @property
    def count(self) -> int:
        """Return how many events were said."""
        return sum(map(len, self.said.values()))

    def so_far(self) -> dict[str, list[int]]:
        """Return what was said until now."""
        return {session: list(numbers) for session, numbers in self.said.items()}

    def _talk(self) -> None:
        while not self._is_over.wait(0.01):
            for device in self._devices:
                self.said[device.session].append(device.send_event("still here").sequence)


def _kept(name: str, sessions: Iterable[str]) -> dict[str, list[int]]:
    """Return the numbers of the events that the database has, by session."""
    rows = postgres().do("SELECT session, sequence FROM events WHERE text = 'still here' ORDER BY 1, 2", name)
    found: dict[str, list[int]] = {session: [] for session in sessions}
    for session, _, number in (line.partition("|") for line in rows.splitlines()):
        found[session].append(int(number))
    return found


def _has(name: str, said: Mapping[str, Sequence[int]]) -> bool:
    """Say whether the database has all of these events, and maybe more."""
    kept = _kept(name, said)
    return all(set(numbers) <= set(kept[session]) for session, numbers in said.items())


def test_of_two_that_share_the_messages_one_is_killed_in_mid_rollout_and_no_number_is_missing_or_doubled(
    tmp_path: Path, tell: Callable[[str], None]
) -> None:
    with ExitStack() as stack:
        # Given two servers that both take in what devices say, some that talk without end, and a rollout that half the others have
        pair = Pair(tmp_path, stack, is_sharing=True)
        folders = [pair.second.add_device(f"pi-{number}") for number in range(4)]
        devices = [SimDevice(folder) for folder in folders]
        talkers = [SimDevice(pair.second.add_device(f"talker-{number}", hardware="rpi5")) for number in range(2)]
        make_bundle(tmp_path / "b", release=1)
        pair.second.ask("release", "add", str(tmp_path / "b"))
        api = stack.enter_context(pair.api(pair.second))
        for device in (*devices[:2], *talkers):
            stack.enter_context(device)
        talking = Talkers(talkers)
        with talking:
            api.post("rollouts", json={"model": "digits", "query": "hw = cpu"}).raise_for_status()
            wait_for(lambda: api.get("rollouts/1").json()["counts"].get("committed") == 2)
            # When the leader is killed
            leader, killed_s, before = leading_session(pair.name), time.monotonic(), talking.count
            pair.first.stop(signal.SIGKILL)
            # Then the other leads
            wait_for(lambda: leading_session(pair.name) not in ("", leader), seconds=TAKEOVER_S)
            tell(f"under load another server led {time.monotonic() - killed_s:.1f} s after the leader was killed")
            # And takes in what the broker kept for the one that was killed, although that one never comes back
            for device in devices[2:]:
                stack.enter_context(device)
            waiting = talking.so_far()
            wait_for(lambda: _has(pair.name, waiting))
            tell(f"under load nothing waited for the dead server any more {time.monotonic() - killed_s:.1f} s after it was killed for good")
            # And the rollout comes to its end
            wait_for(lambda: api.get("rollouts/1").json()["state"] != "running")
            tell(f"under load the rollout ended {time.monotonic() - killed_s:.1f} s after the leader was killed for good")
            assert talking.count > before
        # Then every number is there, once
        wait_for(lambda: _kept(pair.name, talking.said) == talking.said)
        tell(f"{talking.count} events, {talking.count - before} of them after the kill: none lost, none doubled")
        wait_for(lambda: {detail["generation_reported"] for detail in _details(api, devices)} == {2})
        details = _details(api, devices)
        view = api.get("rollouts/1").json()
    # And every device has the release, wished of it once
    assert (view["state"], view["counts"]) == ("succeeded", {"committed": 4})
    assert [detail["generation_desired"] for detail in details] == [2] * 4
    assert [device.problems for device in devices] == [[]] * 4


def test_servers_that_share_the_messages_are_stopped_one_after_the_other_and_no_number_is_missing_or_doubled(tmp_path: Path) -> None:
    with ExitStack() as stack:
        # Given two servers that both take in what devices say, and some that talk without end
        pair = Pair(tmp_path, stack, is_sharing=True)
        talkers = [SimDevice(pair.second.add_device(f"talker-{number}")) for number in range(2)]
        for device in talkers:
            stack.enter_context(device)
        with Talkers(talkers) as talking:
            wait_for(lambda: talking.count > 50)
            # When the one that leads is stopped for good, then what it left is taken in by the other, with all that comes after
            pair.first.stop()
            before = talking.so_far()
            wait_for(lambda: _has(pair.name, before))
            # When that one is stopped too, then the broker keeps what is said until it is back
            pair.second.stop()
            stopped = talking.count
            wait_for(lambda: talking.count > stopped + 50)
            stack.enter_context(FleetProcess(pair.second.folder, pair.second, *pair.second.options))
        wait_for(lambda: _kept(pair.name, talking.said) == talking.said)
    # And the servers ended in good order
    assert (pair.first.exit_status, pair.second.exit_status) == (0, 0)


def _details(api: httpx.Client, devices: Sequence[SimDevice]) -> list[dict[str, int]]:
    return [api.get(f"devices/{device.id}").json() for device in devices]


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
