"""What a broker refuses: kept and said again where that may help, given up, counted and reported by its reason where it never will."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from agent.adapters.address import BrokerAddress
from agent.adapters.mqtt import MqttBroker
from agent.adapters.outbox_files import OutboxFiles
from agent.control.reporter import Identity, Reporter
from agent.control.uplink import Uplink
from agent.core.memory import Memory
from contracts.agent_config import DeviceSection
from contracts.messages import DeviceEvent, InferenceWindow, Reported
from contracts.mqtt_reasons import PACKET_TOO_LARGE
from contracts.topics import of_device
from fleet.south.rules import acl_file
from tests.agent.adapters.test_link_loss import KnownBy
from tests.agent.conftest import DEVICE, AgentProcess, until
from tests.live.authority import file_of
from tests.live.mosquitto import Mosquitto
from tests.sim.commanded import until as until_so
from tests.sim.fleet import SimFleet
from tests.sim.shelf import outbox_in, window
from tests.sim.small_device import MACHINE
from tests.sim.strict_broker import StrictBroker

WAIT_S = 40.0
# Between connections: the shortest that all waits are counted in.
KEEPALIVE_S = 0.2


class Line:
    """A device's real line to a broker that refuses as it is told."""

    def __init__(self, folder: Path, broker: StrictBroker) -> None:
        """Nothing is connected yet."""
        self.broker = broker
        identity = Identity(DeviceSection(id=DEVICE, hardware="cpu"), "0", {}, MACHINE, "0" * 16)
        self.reporter = Reporter(identity, Memory(), outbox_in(OutboxFiles(folder)))
        address = BrokerAddress("127.0.0.1", broker.port, 15, KnownBy(file_of(DEVICE)))
        self.uplink = Uplink(MqttBroker(address), self.reporter, self._hear, KEEPALIVE_S)

    async def _hear(self, topic: str, payload: bytes) -> None:
        """Hear nothing."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the line up."""
        stop = asyncio.Event()
        task = asyncio.create_task(self.uplink.run(stop))
        try:
            yield
            assert not task.done()
        finally:
            stop.set()
            await task

    def windows(self) -> list[int]:
        """Return the ordinals that the broker took, in order."""
        return [InferenceWindow.model_validate_json(raw).ordinal or 0 for raw in self.broker.taken("inference")]

    def events(self) -> list[DeviceEvent]:
        """Return the events that it took."""
        return [DeviceEvent.model_validate_json(raw) for raw in self.broker.taken("event")]


def play(folder: Path, broker: StrictBroker, part: Callable[[Line], Awaitable[None]]) -> None:
    async def run() -> None:
        async with broker.running():
            await part(Line(folder / "outbox", broker))

    asyncio.run(asyncio.wait_for(run(), WAIT_S))


@pytest.mark.parametrize("reason", [0x80, 0x83, 0x87, 0x91, 0x97])
def test_what_is_refused_for_now_is_kept_and_said_again(tmp_path: Path, reason: int) -> None:
    broker = StrictBroker(answer=lambda topic, _: reason if topic.endswith("/inference") else 0)

    async def part(line: Line) -> None:
        async with line.running():
            for number in (1, 2, 3):
                line.reporter.window(window(number))
            # When a window was refused twice, then none of them is gone, while the report was taken
            await until_so(lambda: [each.reason for each in broker.said].count(reason) >= 2)
            assert line.windows() == []
            assert broker.taken("reported")
            # And once the broker takes them, it has each, in order, and nothing was counted as lost
            broker.answer = lambda _topic, _payload: 0
            await until_so(lambda: line.windows() == [1, 2, 3])
            assert line.reporter.outbox.dropped.windows == 0
            assert broker.connections == 1

    play(tmp_path, broker, part)


@pytest.mark.parametrize("reason", [0x90, PACKET_TOO_LARGE, 0x99])
def test_what_is_refused_for_good_is_counted_and_told_by_its_reason_and_keeps_nothing_back(tmp_path: Path, reason: int) -> None:
    broker = StrictBroker(answer=lambda _, payload: reason if b'"ordinal":2' in payload else 0)

    async def part(line: Line) -> None:
        async with line.running():
            for number in (1, 2, 3):
                line.reporter.window(window(number))
            await until_so(lambda: line.windows() == [1, 3] and any("refused" in event.facts for event in line.events()))
            (told,) = [event for event in line.events() if "refused" in event.facts]
            assert (told.facts["dropped_windows"], told.facts["dropped_others"]) == ("1", "0")
            assert f"({reason:#04x})" in told.facts["refused"]
            assert told.facts["refused"] in told.text

    play(tmp_path, broker, part)


def test_a_refusal_to_hear_of_refusals_is_not_told_for_ever(tmp_path: Path) -> None:
    broker = StrictBroker(answer=lambda topic, _: 0x99 if topic.endswith("/event") else 0)

    async def part(line: Line) -> None:
        async with line.running():
            line.reporter.event("started", "info", "here")
            await until_so(lambda: len(broker.said) >= 4)
            line.reporter.window(window(1))
            await until_so(lambda: line.windows() == [1] and line.reporter.outbox.first() is None)
        # One about the first, and at most one more for all that was taken since.
        assert [each.leaf for each in broker.said].count("event") <= 3 + len(line.windows())

    play(tmp_path, broker, part)


def test_a_letter_over_which_a_broker_ends_the_connection_is_given_up_the_second_time(tmp_path: Path) -> None:
    broker = StrictBroker(farewell=lambda _, payload: PACKET_TOO_LARGE if b'"ordinal":2' in payload else 0)

    async def part(line: Line) -> None:
        async with line.running():
            for number in (1, 2, 3):
                line.reporter.window(window(number))
            await until_so(lambda: 3 in line.windows() and any("refused" in event.facts for event in line.events()))
            assert set(line.windows()) == {1, 3}

    play(tmp_path, broker, part)


def test_what_a_broker_says_it_does_not_take_is_never_sent(tmp_path: Path) -> None:
    broker = StrictBroker(max_packet_bytes=4000)

    async def part(line: Line) -> None:
        async with line.running():
            line.reporter.event("started", "info", "here", facts={f"{n}": "long " * 150 for n in range(8)})
            line.reporter.event("started", "info", "still here")
            await until_so(lambda: any("packet too large (0x95)" in event.facts.get("refused", "") for event in line.events()))
            assert "still here" in {event.text for event in line.events()}
            assert broker.connections == 1
            assert max(len(each.payload) for each in broker.said) < 4000

    play(tmp_path, broker, part)


def test_a_refused_report_proves_nothing_and_is_said_again(tmp_path: Path) -> None:
    broker = StrictBroker(answer=lambda topic, _: 0x97 if topic.endswith(("/reported", "/birth")) else 0)

    async def part(line: Line) -> None:
        async with line.running():
            line.reporter.window(window(1))
            await until_so(lambda: line.windows() == [1])
            await until_so(lambda: [each.leaf for each in broker.said].count("birth") >= 2)
            line.uplink._has_brought_wish = True  # all but the report is well
            assert not line.uplink.is_proven
            broker.answer = lambda _topic, _payload: 0
            await until_so(lambda: bool(broker.taken("birth") and broker.taken("reported")))
            await until_so(lambda: line.uplink.is_proven)

    play(tmp_path, broker, part)


def test_topics_that_are_refused_for_now_are_asked_for_again_and_the_fleet_is_told(tmp_path: Path) -> None:
    desired = of_device(DEVICE, "desired")
    broker = StrictBroker(grant=lambda topic: 0x97 if topic == desired else 0)

    async def part(line: Line) -> None:
        async with line.running():
            await until_so(lambda: broker.asked.count(desired) >= 2)
            broker.grant = lambda _topic: 0
            await until_so(lambda: any("quota exceeded (0x97)" in event.text and desired in event.text for event in line.events()))
        assert all(broker.asked.count(each) == 1 for each in set(broker.asked) - {desired})

    play(tmp_path, broker, part)


def test_events_that_the_rules_do_not_allow_wait_until_they_do(broker: Mosquitto, fleet: SimFleet, device: AgentProcess) -> None:
    # Given a real broker whose rules forgot events
    rules = acl_file()
    broker.rule(rules.replace("pattern write ff/v1/%u/event\n", ""))
    device.start()
    # When the device has one for it, then it is kept, and the report is taken
    until(lambda: "refuses a message (event): not authorized (0x87)" in device.log(), timeout_s=WAIT_S)
    fleet.wait_for(Reported, DEVICE, lambda said: said.generation == 0, timeout_s=WAIT_S)
    assert fleet.all(DeviceEvent) == []
    # And once the rules allow it, it comes
    broker.rule(rules)
    fleet.wait_for(DeviceEvent, DEVICE, lambda event: event.kind == "started", timeout_s=WAIT_S)


@contextmanager
def limited_broker(folder: Path, limit: str) -> Iterator[Mosquitto]:
    """A real broker with one more line of configuration."""
    mosquitto = Mosquitto(folder / "broker", limit=limit)
    mosquitto.start()
    try:
        yield mosquitto
    finally:
        mosquitto.stop()


@pytest.mark.parametrize("limit", ["message_size_limit 1000", "max_packet_size 1000"])
def test_a_real_broker_says_what_is_too_large_for_it_and_takes_the_rest(tmp_path: Path, limit: str) -> None:
    async def run(port: int) -> None:
        line = MqttBroker(BrokerAddress("127.0.0.1", port, 15, KnownBy(file_of(DEVICE))))
        # It may end the connection after its answer
        for size, expected in ((500, {0x00, 0x10}), (2000, {PACKET_TOO_LARGE}), (500, {0x00, 0x10})):
            async with line.connect(of_device(DEVICE, "birth"), b"{}") as connection:
                assert await connection.publish(of_device(DEVICE, "reported"), b"x" * size, qos=1, retain=True) in expected

    with limited_broker(tmp_path, limit) as mosquitto:
        asyncio.run(asyncio.wait_for(run(mosquitto.port), WAIT_S))
