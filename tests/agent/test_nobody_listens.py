"""A broker that is there while no server takes what devices say: it acknowledges that, and forgets it; a device does not."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from agent.adapters.address import BrokerAddress
from agent.adapters.mqtt import MqttBroker
from contracts.messages import DeviceEvent, InferenceWindow, Reported
from contracts.mqtt_reasons import Fate, fate_of
from contracts.topics import of_device, parse_uplink
from fleet.south.ingest import TOPICS
from fleet.south.mqtt import Login
from fleet.south.rules import FLEET_USER
from fleet.south.uplink_line import UplinkLine
from tests.agent.adapters.test_link_loss import KnownBy
from tests.agent.conftest import DEVICE, AgentProcess, listening_fleet, until, written
from tests.agent.test_update_journeys import committed
from tests.live.authority import authority, file_of
from tests.live.mosquitto import Mosquitto
from tests.sim.fleet import SimFleet

WAIT_S = 150.0
TOLD_WITHOUT_A_SERVER = 4


class Replica:
    """One of several servers, as far as devices are concerned: it shares what they say with the others."""

    def __init__(self, port: int) -> None:
        """Subscribe."""
        self.windows: dict[str, set[int]] = {}
        self.heard: set[str] = set()
        self._line = UplinkLine(Login("127.0.0.1", port, authority().certificate_file, file_of(FLEET_USER)), TOPICS, "one")
        end_s = time.monotonic() + WAIT_S
        while not self._line.subscriptions:
            assert time.monotonic() < end_s
            self.turn()

    def turn(self) -> bool:
        """Take in what is there; say whether there were windows by now."""
        for received in self._line.take(1000, 0.2):
            uplink = parse_uplink(received.topic)
            assert uplink is not None
            self.heard.add(uplink.leaf)
            if uplink.leaf == "inference":
                window = InferenceWindow.model_validate_json(received.payload)
                assert window.ordinal is not None
                self.windows.setdefault(window.session, set()).add(window.ordinal)
        self._line.settle()
        return bool(self.windows)

    def close(self) -> None:
        """Go away."""
        self._line.close()


def waiting_windows(device: AgentProcess) -> int:
    """Return how many windows wait on the disk."""
    return written(device.state / "outbox").count(b" inference ")


def test_no_window_is_lost_while_servers_are_away_and_a_broker_that_restarted_forgot_what_they_share(
    broker: Mosquitto, fleet: SimFleet, device: AgentProcess
) -> None:
    # Given a device that serves, and one server that takes what it says by a shared subscription
    device.start()
    committed(fleet, device)
    server = Replica(broker.port)
    fleet.stop()
    until(lambda: device.who_serves() and server.turn(), timeout_s=WAIT_S)
    # When the server goes away and the broker, once restarted, has forgotten it
    server.close()
    broker.stop()
    broker.start()
    # Then the device keeps its windows, although the broker acknowledges them
    until(lambda: "there is nobody who takes what this device says" in device.log(), timeout_s=WAIT_S)
    until(lambda: device.who_serves() and waiting_windows(device) >= TOLD_WITHOUT_A_SERVER, timeout_s=WAIT_S)
    # And once the server is back it has every one of them
    after = Replica(broker.port)
    (session,) = server.windows

    def has_all() -> bool:
        after.turn()
        return len(after.windows.get(session, ())) > TOLD_WITHOUT_A_SERVER and waiting_windows(device) == 0

    until(has_all, timeout_s=WAIT_S)
    after.close()
    told_before = {window.ordinal or 0 for window in fleet.all(InferenceWindow) if window.session == session}
    told = told_before | server.windows[session] | after.windows[session]
    assert told == set(range(1, max(told) + 1))
    assert {"birth", "reported", "event"} <= after.heard


def test_a_device_reports_while_nobody_takes_what_it_says(broker: Mosquitto, fleet: SimFleet, device: AgentProcess) -> None:
    # Given a device that finds a broker and no server, and has an event for it
    fleet.stop()
    device.start()
    until(lambda: "nobody who takes" in device.log(), timeout_s=WAIT_S)
    # When a server comes, then the broker has kept the device's report for it, and the event follows
    with listening_fleet(broker) as server:
        server.wait_for(Reported, DEVICE, lambda said: said.generation == 0)
        server.wait_for(DeviceEvent, DEVICE, lambda event: event.kind == "started", timeout_s=WAIT_S)


def test_what_the_broker_has_nobody_to_give_to_is_not_taken_unless_it_keeps_it(tmp_path: Path, broker: Mosquitto) -> None:
    async def run() -> None:
        line = MqttBroker(BrokerAddress("127.0.0.1", broker.port, 15, KnownBy(file_of(DEVICE))))
        async with line.connect(of_device(DEVICE, "birth"), b"{}") as connection:

            async def say(leaf: str, *, retain: bool = False) -> Fate:
                return fate_of(await connection.publish(of_device(DEVICE, leaf), b"{}", qos=1, retain=retain), is_retained=retain)

            assert await say("event") is Fate.NOBODY
            assert await say("command/1/result") is Fate.NOBODY
            assert await say("reported", retain=True) is Fate.TAKEN
            assert await connection.publish(of_device(DEVICE, "health"), b"{}", qos=0, retain=False) == 0
            server = await asyncio.to_thread(Replica, broker.port)
            assert await say("event") is Fate.TAKEN
            # A server that is away is somebody still, as long as the broker knows it
            server.close()
            assert await say("inference") is Fate.TAKEN

    asyncio.run(asyncio.wait_for(run(), WAIT_S))
