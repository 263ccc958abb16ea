"""A broker of a few lines that refuses as a test tells it to: real brokers cannot be made to give most reason codes."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.live.authority import server_identity

SUBACK, PUBACK, CONNACK, DISCONNECT, PINGRESP = 0x90, 0x40, 0x20, 0xE0, 0xD0
MAXIMUM_PACKET_SIZE = 0x27


@dataclass(frozen=True)
class Said:
    """One publication."""

    leaf: str
    payload: bytes
    reason: int


def take(_topic: str, _payload: bytes) -> int:
    """Take everything."""
    return 0


@dataclass
class StrictBroker:
    """What it answers may be changed at any time."""

    # The reason code of a PUBACK by topic and payload; and of the DISCONNECT that follows instead of one, 0 for none.
    answer: Callable[[str, bytes], int] = take
    farewell: Callable[[str, bytes], int] = take
    # The reason code for each filter of a subscription, 0 grants it.
    grant: Callable[[str], int] = lambda _filter: 0
    max_packet_bytes: int = 0
    said: list[Said] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen with TLS on a port of its own, for as long as the block lasts."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(server_identity())
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()

    def taken(self, leaf: str) -> list[bytes]:
        """Return what it took of a leaf."""
        return [each.payload for each in self.said if each.leaf == leaf and not each.reason]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                first = (await reader.readexactly(1))[0]
                body = await reader.readexactly(await _length(reader))
                answer = self._hear(first, body)
                writer.write(answer)
                await writer.drain()
                if answer and answer[0] == DISCONNECT:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the device is gone
        finally:
            writer.close()

    def _hear(self, first: int, body: bytes) -> bytes:
        kind = first >> 4
        if kind == 1:
            size = bytes([MAXIMUM_PACKET_SIZE]) + self.max_packet_bytes.to_bytes(4, "big") if self.max_packet_bytes else b""
            return bytes([CONNACK, 3 + len(size), 0, 0, len(size)]) + size
        if kind == 8:
            reasons = bytes(self.grant(each) or 1 for each in self._filters(body))
            return bytes([SUBACK, 3 + len(reasons)]) + body[:2] + b"\0" + reasons
        if kind == 3:
            return self._publication(first >> 1 & 3, body)
        return bytes([PINGRESP, 0]) if kind == 12 else b""

    def _filters(self, body: bytes) -> list[str]:
        found, start = [], 3 + body[2]
        while start < len(body):
            end = start + 2 + int.from_bytes(body[start : start + 2], "big")
            found.append(body[start + 2 : end].decode())
            start = end + 1
        self.asked += found
        return found

    def _publication(self, qos: int, body: bytes) -> bytes:
        end = 2 + int.from_bytes(body[:2], "big")
        topic, packet_id = body[2:end].decode(), body[end : end + 2]
        if not qos:
            return b""
        payload = body[end + 3 + body[end + 2] :]
        if farewell := self.farewell(topic, payload):
            return bytes([DISCONNECT, 1, farewell])
        reason = self.answer(topic, payload)
        self.said.append(Said(topic.split("/", 3)[3], payload, reason))
        return bytes([PUBACK, 3]) + packet_id + bytes([reason])


async def _length(reader: asyncio.StreamReader) -> int:
    value, place = 0, 0
    while True:
        byte = (await reader.readexactly(1))[0]
        value |= (byte & 0x7F) << 7 * place
        place += 1
        if byte < 0x80:
            return value
