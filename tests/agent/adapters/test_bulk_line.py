"""The lines for files of both sides, and paho as a witness, over a real broker: every byte arrives, and an end of the line is noticed."""

from __future__ import annotations

import asyncio
import os
import queue
from collections.abc import Iterator
from pathlib import Path

import pytest
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from agent.adapters.address import BrokerAddress
from agent.adapters.bulk import BulkBroker
from agent.core.pieces import Found
from agent.errors import LinkLostError
from contracts.chunks import CHUNK_BYTES
from contracts.topics import of_chunk, of_chunks, of_device
from fleet.errors.server import LinkDownError
from fleet.south.bulk import BulkLink
from fleet.south.mqtt import Login
from fleet.south.rules import FLEET_USER
from tests.fleet.server import wait_for
from tests.live.authority import authority, file_of
from tests.live.mosquitto import Mosquitto
from tests.sim.download_process import KnownBy

DEVICE = "pi-1"
DIGEST = "ab" * 32
SIZES = (0, 1, 100, 16 * 1024 - 90, 16 * 1024, CHUNK_BYTES - 1, CHUNK_BYTES, 3)
WAIT_S = 90.0


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def fleet(mosquitto: Mosquitto) -> Iterator[BulkLink]:
    login = Login("127.0.0.1", mosquitto.port, authority().certificate_file, file_of(FLEET_USER))
    link = BulkLink(login, "fleet-bulk", ("ff/v1/+/want",))
    wait_for(lambda: link.take(1, 0.1) or link.is_up or None)
    yield link
    link.close()


def device_at(mosquitto: Mosquitto) -> BulkBroker:
    known_by = KnownBy(DEVICE, file_of(DEVICE), authority().certificate_file)
    return BulkBroker(BrokerAddress("127.0.0.1", mosquitto.port, 5, known_by))


def test_every_byte_that_the_fleet_publishes_reaches_devices_and_others(mosquitto: Mosquitto, fleet: BulkLink) -> None:
    # Given a device, and beside it a client that we did not write
    chunks = [os.urandom(size) for size in SIZES]
    witnessed: queue.Queue[bytes] = queue.Queue()
    witness = Client(CallbackAPIVersion.VERSION2, client_id="witness", protocol=MQTTv5)
    witness.tls_set(str(authority().certificate_file), str(file_of("pi-2")))
    witness.on_message = lambda _client, _user, message: witnessed.put(bytes(message.payload))
    witness.on_subscribe = lambda *_: witnessed.put(b"subscribed")
    witness.connect("127.0.0.1", mosquitto.port)
    witness.loop_start()
    witness.subscribe(of_chunks(DIGEST), qos=1)
    assert witnessed.get(timeout=WAIT_S) == b"subscribed"

    async def listen() -> list[Found]:
        heard: list[Found] = []
        async with device_at(mosquitto).connect_bulk() as connection:
            await connection.subscribe(of_chunks(DIGEST))
            async with connection.heard_by(lambda _topic, payload: bytes(payload)):
                # When the fleet publishes chunks of many sizes
                messages = [(of_chunk(DIGEST, index), chunk) for index, chunk in enumerate(chunks)]
                await asyncio.to_thread(fleet.send, messages, 0)
                while len(heard) < len(chunks):
                    heard += await asyncio.wait_for(connection.receive(), WAIT_S)
        return heard

    # Then both have every byte of them, in order
    assert asyncio.run(listen()) == chunks
    assert [witnessed.get(timeout=WAIT_S) for _ in chunks] == chunks
    witness.disconnect()
    witness.loop_stop()


def test_what_a_device_wants_reaches_the_fleet(mosquitto: Mosquitto, fleet: BulkLink) -> None:
    wants = [os.urandom(size) for size in (1, 200, 40_000)]

    async def speak() -> None:
        async with device_at(mosquitto).connect_bulk() as connection:
            for want in wants:
                await connection.publish(of_device(DEVICE, "want"), want)
            heard: list[bytes] = []
            while len(heard) < len(wants):
                heard += [each.payload for each in await asyncio.to_thread(fleet.take, 10, WAIT_S)]
            assert heard == wants

    asyncio.run(asyncio.wait_for(speak(), 2 * WAIT_S))


def test_both_ends_notice_that_the_broker_is_gone_and_the_fleet_comes_back(mosquitto: Mosquitto, fleet: BulkLink) -> None:
    async def lose() -> None:
        async with device_at(mosquitto).connect_bulk() as connection:
            await connection.subscribe(of_chunks(DIGEST))
            # When the broker ends
            mosquitto.stop()
            # Then whoever waits, or asks for more, is told
            with pytest.raises(LinkLostError):
                await asyncio.wait_for(connection.receive(), WAIT_S)
            with pytest.raises(LinkLostError):
                await connection.subscribe(of_chunks(DIGEST))

    asyncio.run(lose())
    with pytest.raises(LinkDownError):
        fleet.send([(of_chunk(DIGEST, 0), b"lost")], 0)
    assert not fleet.is_up
    # And the fleet's line comes back with its broker
    mosquitto.start()
    wait_for(lambda: fleet.take(1, 0.1) or fleet.is_up or None)
    fleet.send([(of_chunk(DIGEST, 0), b"sent")], 0)


def test_nothing_is_kept_for_whoever_stopped_listening(mosquitto: Mosquitto, fleet: BulkLink) -> None:
    async def listen() -> list[Found]:
        async with device_at(mosquitto).connect_bulk() as connection:
            await connection.subscribe(of_chunks(DIGEST))
            calls: list[str] = []
            async with connection.heard_by(lambda topic, _payload: calls.append(topic)):
                pass
            # When a chunk comes after one listener, and before another
            await asyncio.to_thread(fleet.send, [(of_chunk(DIGEST, 0), b"between")], 0)
            await connection.subscribe(of_chunks("cd" * 32))  # whose answer comes after the chunk
            async with connection.heard_by(lambda _topic, payload: bytes(payload)):
                await asyncio.to_thread(fleet.send, [(of_chunk(DIGEST, 1), b"after")], 0)
                heard = await asyncio.wait_for(connection.receive(), WAIT_S)
            assert calls == []
            return heard

    # Then neither hears of it
    assert asyncio.run(listen()) == [b"after"]
