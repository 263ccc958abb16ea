"""What the fleet's own broker keeps for servers that are gone, and who takes it in; by two servers' lines to it and one database."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from paho.mqtt.client import Client, ConnectFlags
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from sqlalchemy import update

from fleet.core.devices import Device
from fleet.core.inheritance import FORGET_S, QUIET_S, SILENT_S, TELL_S, to_inherit
from fleet.core.labels import SIMULATED
from fleet.south.heir import Heir, Share
from fleet.south.ingest import TOPICS, Ingest
from fleet.south.mqtt import SESSION_EXPIRY_S, Login
from fleet.south.presence import Presence
from fleet.south.uplink_line import UplinkLine
from fleet.store.database import Database
from fleet.store.devices import DeviceStore
from fleet.store.reader import StoreReader
from fleet.store.replicas import ReplicaStore
from fleet.store.tables import replicas
from fleet.store.uplinks import UplinkStore
from fleet.wall_clock import utc_now
from tests.fleet import broker_client
from tests.fleet.databases import KINDS, new_place
from tests.fleet.server import wait_for
from tests.fleet.test_ingest_survives import rows
from tests.sim.ingest_process import Counting
from tests.sim.uplink_stage import Program, Stage

MESSAGES = 500


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    opened = Database(new_place(request.param, tmp_path))
    yield opened
    opened.close()


def age(database: Database, name: str, seconds: float) -> None:
    """Have a server told for the last time so much earlier."""
    with database.appending() as connection:
        connection.execute(update(replicas).where(replicas.c.name == name).values(seen_s=replicas.c.seen_s - seconds))


class Server:
    """What one of several servers does with what devices say, turn by turn; it leads when it is told to inherit."""

    def __init__(self, name: str, stage: Stage, database: Database) -> None:
        """Nothing is connected yet."""
        login = Login("127.0.0.1", stage.port, Path(stage.papers["authority"]), Path(stage.papers["own"]))
        self._login, self._store = login, UplinkStore(database, timedelta(days=30))
        register = ReplicaStore(database)
        self.heard, self.inherited = Counting(self._store), Counting(self._store)
        self.line = UplinkLine(login, TOPICS, name)
        self.presence = Presence(name, register, self.line, Ingest(self.line, self.heard, utc_now))
        self.heir = Heir(name, register, self._share_of, lambda: self.line.is_up and self.line.subscriptions > 0)

    def _share_of(self, name: str) -> Share:
        line = UplinkLine(self._login, TOPICS, name, is_heir=True)
        return Share(line, Ingest(line, self.inherited, utc_now))

    def lead(self) -> None:
        """Hear, and inherit."""
        self.presence.turn()
        self.heir.turn()


def turns_until(is_over: Callable[[], bool], *turns: Callable[[], None]) -> None:
    """Take turns, one server after the other."""

    def round_of_turns() -> bool:
        for turn in turns:
            turn()
        return is_over()

    wait_for(round_of_turns)


def say_all(stage: Stage, devices: list[str]) -> Program:
    """Have some devices say all that they have to say."""
    stage.devices = devices
    load = stage.load(MESSAGES)
    load.go()
    return load


def test_what_waits_for_a_server_that_is_gone_is_taken_in_and_once_it_is_back_it_hears_for_itself(tmp_path: Path) -> None:
    file = tmp_path / "fleet.db"
    stage, database = Stage(tmp_path, 6), Database(file)
    devices = stage.devices
    DeviceStore(database).add_simulated([Device(device, "cpu", SIMULATED, utc_now()) for device in devices])

    def all_of(count: int, *turns: Callable[[], None]) -> None:
        """Take turns until there is each number of the first devices, once."""
        expected = [(device, MESSAGES, 1, MESSAGES) for device in devices[:count]]
        turns_until(lambda: rows(file) == expected, *turns)

    with stage.broker():
        # Given two servers that share the messages, of which one dies before it took in what it was given
        one, other = Server("one", stage, database), Server("other", stage, database)
        turns_until(lambda: min(one.line.subscriptions, other.line.subscriptions) > 0, one.lead, other.presence.turn)
        other.line.close()
        first = say_all(stage, devices[:2])
        # When it is silent for long, then the other takes in what waits for it
        age(database, "other", SILENT_S)
        all_of(2, one.lead)
        inherited = one.inherited.messages
        assert inherited > 0
        # And nothing new is given to the one that is gone
        second = say_all(stage, devices[2:4])
        all_of(4, one.lead)
        assert one.inherited.messages == inherited
        # And once that one is back, it hears for itself, and nobody is in its way
        other = Server("other", stage, database)
        turns_until(lambda: other.line.subscriptions > 0, other.presence.turn, one.lead)
        third = say_all(stage, devices[4:])
        all_of(6, one.lead, other.presence.turn)
        assert other.heard.messages > 0
        for load in (first, second, third):
            load.go()
            assert load.result()["repeated"] == 0
        one.heir.close()
        for server in (one, other):
            server.line.close()
    reader = StoreReader(database, utc_now)
    assert [reader.device(device).gaps for device in devices] == [()] * len(devices)
    database.close()


def has_session(stage: Stage, name: str) -> bool:
    """Ask the broker whether it keeps a session; it then does as before."""
    own, authority = Path(stage.papers["own"]), Path(stage.papers["authority"])
    answers: queue.Queue[bool] = queue.Queue()

    def on_connect(_client: Client, _user: object, flags: ConnectFlags, _reason: ReasonCode, _properties: Properties | None) -> None:
        answers.put(flags.session_present)

    client = broker_client.Login("fleet", stage.port, authority, own).client(Login("", 0, authority, own).client_id(f"fleet-uplink-{name}"))
    client.on_connect = on_connect
    keep = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho left this one untyped
    keep.SessionExpiryInterval = SESSION_EXPIRY_S
    client.connect("127.0.0.1", stage.port, clean_start=False, properties=keep)
    client.loop_start()
    try:
        return answers.get(timeout=60)
    finally:
        client.disconnect()
        client.loop_stop()


def test_a_session_outlives_its_line_until_it_is_ended(tmp_path: Path) -> None:
    stage = Stage(tmp_path, 0)
    login = Login("127.0.0.1", stage.port, Path(stage.papers["authority"]), Path(stage.papers["own"]))
    line = UplinkLine(login, TOPICS, "other", is_heir=True)
    with stage.broker():
        # Given a line that the broker greeted, and that has nothing to say
        wait_for(lambda: line.take(1, 0.1) == [] and line.subscriptions == 1)
        assert line.quiet_s > 0
        # When it is closed, then the session is there; when it is ended, it is not
        line.close()
        assert line.quiet_s == 0
        assert has_session(stage, "other")
        wait_for(lambda: line.take(1, 0.1) == [] and line.subscriptions == 2)
        line.end()
        assert not has_session(stage, "other")


def test_servers_are_silent_from_their_last_word_and_at_once_when_they_leave(database: Database) -> None:
    register = ReplicaStore(database)
    register.tell("one")
    register.tell("other")
    assert to_inherit(register.all(), "one") == frozenset()

    age(database, "other", SILENT_S)
    assert to_inherit(register.all(), "one") == {"other"}
    register.tell("other")
    assert to_inherit(register.all(), "one") == frozenset()
    register.leave("other")

    assert to_inherit(register.all(), "one") == {"other"}
    assert [replica.name for replica in register.all()] == ["one", "other"]


@dataclass
class StillLine:
    """A line on which nothing comes."""

    quiet_s: float
    is_up: bool = True
    parted: str = ""

    def close(self) -> None:
        """Leave the session."""
        self.parted = "closed"

    def end(self) -> None:
        """End the session."""
        self.parted = "ended"

    def turn(self) -> None:
        """Take nothing in."""


def test_a_server_tells_before_its_line_connects_and_falls_silent_while_it_has_no_broker(tmp_path: Path) -> None:
    database = Database(tmp_path / "fleet.db")
    register, line = ReplicaStore(database), StillLine(quiet_s=0, is_up=False)
    presence = Presence("other", register, line, line)
    # When it takes its first turn, then it told
    presence.turn()
    assert [replica.name for replica in register.all()] == ["other"]
    # When it does not reach the broker for longer than it may be silent between two words
    age(database, "other", SILENT_S)
    until_s = time.monotonic() + TELL_S + 0.2
    turns_until(lambda: time.monotonic() > until_s, presence.turn)
    # Then it is taken for gone, until it reaches it
    assert to_inherit(register.all(), "one") == {"other"}
    line.is_up = True
    presence.turn()
    assert to_inherit(register.all(), "one") == frozenset()
    database.close()


def test_a_server_that_stayed_away_for_a_day_is_forgotten_once_nothing_waits_for_it(database: Database) -> None:
    register, line = ReplicaStore(database), StillLine(quiet_s=QUIET_S - 1)
    heir = Heir("one", register, lambda _: Share(line, line), lambda: True)
    # Given one that was silent for a day, for which something may still wait
    register.tell("other")
    age(database, "other", FORGET_S)
    heir.turn()
    assert ([replica.name for replica in register.all()], line.parted) == (["other"], "")
    # When nothing waits any more
    line.quiet_s, line.is_up = QUIET_S, False  # it is looked at again, because the line was lost
    heir.turn()
    # Then the session is ended, and the server forgotten
    assert (register.all(), line.parted) == ((), "ended")


def test_one_that_came_back_is_not_forgotten(database: Database) -> None:
    register = ReplicaStore(database)
    register.tell("other")
    age(database, "other", FORGET_S)
    register.tell("other")
    register.forget("other")

    assert [replica.name for replica in register.all()] == ["other"]


def test_nobody_is_inherited_while_the_heir_itself_is_given_nothing(database: Database) -> None:
    register = ReplicaStore(database)
    asked: list[str] = []
    register.tell("other")
    register.leave("other")

    def share_of(name: str) -> Share:
        asked.append(name)
        line = StillLine(quiet_s=0)
        return Share(line, line)

    Heir("one", register, share_of, lambda: False).turn()
    assert asked == []
    Heir("one", register, share_of, lambda: True).turn()
    assert asked == ["other"]
