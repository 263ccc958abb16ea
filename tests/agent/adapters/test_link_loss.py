"""What a broker says when it ends or refuses a connection reaches whoever decides how long to wait; mosquitto 2.0 says nothing."""

from __future__ import annotations

import asyncio
import gc
import os
import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.adapters.address import BrokerAddress
from agent.adapters.mqtt import MqttBroker
from agent.adapters.tls import fleet_context
from agent.control.reporter import utc_now
from agent.core.reconnect import Loss, loss_of
from agent.errors import LinkLostError
from tests.live.authority import authority, file_of, server_identity

# MQTT 5 packets: CONNACK without properties, and DISCONNECT with its reason code alone.
WELCOME = b"\x20\x03\x00\x00\x00"


def refusal(code: int) -> bytes:
    return bytes((0x20, 3, 0, code, 0))


def farewell(code: int) -> bytes:
    return bytes((0xE0, 1, code))


@dataclass(frozen=True)
class KnownBy:
    """A device's identity."""

    identity: Path

    def tls_context(self) -> ssl.SSLContext:
        """Return what its connections are made with."""
        return fleet_context(authority().pem, self.identity, utc_now)

    def client_id(self, line: str = "") -> str:
        """Return the one name."""
        return f"pi-1-{line}"


async def loss_after(answer: bytes, *, hangs_up: bool = True) -> LinkLostError:
    """Connect to a broker that answers so, and hangs up or waits; return the loss."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(answer)
        await writer.drain()
        if not hangs_up:
            with suppress(OSError):
                await reader.read(1000)
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server_identity())
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    try:
        async with MqttBroker(BrokerAddress("127.0.0.1", port, 15, KnownBy(file_of("pi-1")))).connect("will", b"{}") as connection:
            await connection.receive()
    except LinkLostError as error:
        return error
    finally:
        server.close()
        await server.wait_closed()
    raise AssertionError("expected a loss, found messages")


@pytest.mark.parametrize(
    ("answer", "loss"),
    [
        (refusal(0x89), Loss.BUSY),
        (refusal(0x97), Loss.BUSY),
        (refusal(0x87), Loss.SHARED),
        (WELCOME + farewell(0x8B), Loss.SHARED),
        (WELCOME + farewell(0x8E), Loss.OWN),
        (WELCOME + farewell(0x9F), Loss.BUSY),
        (WELCOME, Loss.SHARED),
    ],
)
def test_what_the_broker_says_of_a_loss_decides_whom_it_concerns(answer: bytes, loss: Loss) -> None:
    code = asyncio.run(asyncio.wait_for(loss_after(answer), 60)).reason_code
    assert loss_of(code) is loss
    if answer != WELCOME:
        assert code == (answer[-2] if answer[0] == 0x20 and len(answer) == 5 else answer[-1])


def test_a_broker_that_sends_a_packet_without_end_is_left_before_the_packet_is_here() -> None:
    # Given a broker that ignores how much we take: the head of a message of 250 MB, and only the first of its bytes
    endless = WELCOME + b"\x30" + b"\x80\xe5\x9a\x77" + b"\x00\x04spam\x00" + b"x" * 5000
    # When an agent connects, then it leaves while the broker still has all the rest to send
    loss = asyncio.run(asyncio.wait_for(loss_after(endless, hangs_up=False), 60))
    assert "a packet of 250000000 bytes, expected at most 1048576" in str(loss)


def test_a_connection_that_ended_leaves_no_descriptor_for_the_collector() -> None:
    async def run() -> list[int]:
        counts = []
        for _ in range(5):
            await loss_after(WELCOME)
            counts.append(sum(1 for _ in os.scandir("/proc/self/fd")))
        return counts

    gc.collect()
    gc.disable()
    try:
        counts = asyncio.run(asyncio.wait_for(run(), 60))
    finally:
        gc.enable()
    # Two for each connection are paho's own; the newest one may still be known to the thread that ended it.
    assert counts[-1] - counts[0] <= 4
