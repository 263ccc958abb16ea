"""A device that asks for files and does not read them: the broker's memory stays bounded, and nobody else is held up."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from pathlib import Path

import anyio
import psutil

from agent.core.transfer import MAX_WINDOW
from contracts.chunks import CHUNK_BYTES
from contracts.topics import of_chunk, of_chunks
from fleet.south.broker import Broker
from fleet.south.bulk import BulkLink
from fleet.south.mosquitto_conf import MAX_QUEUED_BYTES, Address
from fleet.south.mqtt import Login
from fleet.south.rules import FLEET_USER
from tests.fleet.server import wait_for
from tests.live.authority import authority, context_of, file_of, server_identity
from tests.live.ports import free_port

DIGEST = "ab" * 32
SLOW = 4
CHUNKS = 800  # 200 MiB
OWN_BYTES = 32 << 20


@contextmanager
def a_device_that_does_not_read(port: int, number: int) -> Iterator[None]:
    """Subscribe with the agent's bounds, and then leave everything in the socket."""
    with context_of(file_of("pi-1")).wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="127.0.0.1") as wire:
        wire.sendall(
            _packet(
                0x10,
                _text("MQTT") + bytes([5, 0x02]) + (600).to_bytes(2, "big") + _receive_maximum() + _text(f"slow-{number}"),
            )
        )
        assert wire.recv(4)[0] == 0x20
        wire.sendall(_packet(0x82, bytes([0, 1, 0]) + _text(of_chunks(DIGEST)) + b"\x01"))
        wire.recv(100)  # CONNACK's rest, or SUBACK
        yield


def _packet(kind: int, body: bytes) -> bytes:
    """Return an MQTT packet (OASIS MQTT 5.0, 2.1); bodies here are short."""
    length = bytes([len(body)]) if len(body) < 128 else bytes([len(body) % 128 | 0x80, len(body) // 128])
    return bytes([kind]) + length + body


def _text(text: str) -> bytes:
    return len(text).to_bytes(2, "big") + text.encode()


def _receive_maximum() -> bytes:
    return bytes([3, 0x21]) + MAX_WINDOW.to_bytes(2, "big")


def test_devices_that_do_not_read_take_bounded_memory_of_the_broker(tmp_path: Path) -> None:
    async def run() -> tuple[int, int]:
        port = free_port()
        broker = Broker(tmp_path, Address("127.0.0.1", port, authority().certificate_file, server_identity()))
        broker.admit((), authority().revocation_list((), datetime.now(timezone.utc)))
        await broker.start()
        try:
            return await anyio.to_thread.run_sync(_publish_to_the_deaf, port)
        finally:
            await broker.stop()

    # Given some devices that do not read, and 200 MiB for all of them
    before, after = anyio.run(run)
    # Then each holds a window of copies, and all of them together one queue
    assert after - before <= SLOW * MAX_WINDOW * CHUNK_BYTES + MAX_QUEUED_BYTES + OWN_BYTES
    assert MAX_WINDOW * CHUNK_BYTES < after - before < CHUNKS * CHUNK_BYTES


def _publish_to_the_deaf(port: int) -> tuple[int, int]:
    (mosquitto,) = [child for child in psutil.Process().children(recursive=True) if child.name() == "mosquitto"]
    link = BulkLink(Login("127.0.0.1", port, authority().certificate_file, file_of(FLEET_USER)), "fleet-bulk", ())
    try:
        wait_for(lambda: link.take(1, 0.1) or link.is_up or None)
        before = mosquitto.memory_info().rss
        with ExitStack() as stack:
            for number in range(SLOW):
                stack.enter_context(a_device_that_does_not_read(port, number))
            chunk = os.urandom(CHUNK_BYTES)
            link.send(((of_chunk(DIGEST, index), chunk) for index in range(CHUNKS)), 16)
            return before, int(mosquitto.memory_info().rss)
    finally:
        link.close()
