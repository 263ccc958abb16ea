"""Devices that only download: the agent's own downloader and broker connection, some devices in one process."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import ssl
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import anyio

import agent.wiring  # noqa: F401  # so that the process is as large as an agent is
from agent.adapters.address import BrokerAddress
from agent.adapters.bulk import BulkBroker, BulkConnection
from agent.adapters.http_source import HttpSource
from agent.adapters.incoming import Incoming
from agent.adapters.link_file import LinkFile
from agent.adapters.outbox_files import OutboxFiles
from agent.adapters.tls import fleet_context
from agent.control.basket import Pace
from agent.control.broker_source import BrokerSource
from agent.control.downloader import Downloader
from agent.control.reporter import Identity, Reporter, utc_now
from agent.core.memory import Memory
from agent.core.outbox import Outbox
from agent.core.pieces import Found, Taker, WantedFile
from agent.core.shelf import Limits
from contracts.agent_config import DeviceSection
from contracts.manifest import FileEntry
from contracts.messages import Machine
from contracts.topics import parse_chunk

MACHINE = Machine(architecture="any", system="any", python="any", cpu_count=1, memory_bytes=1, disk_bytes=1)


async def main() -> None:
    """Read an order from the first line of input, wait for the second, download, print when it began and ended."""
    # An agent has long been running when a download begins: all that is loaded late is loaded here.
    order = json.loads(await anyio.to_thread.run_sync(sys.stdin.readline))
    entries = _entries(order)
    _say("ready")
    await anyio.to_thread.run_sync(sys.stdin.readline)
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    await download_all(order, entries)
    found = {"began_s": began_s, "ended_s": time.monotonic(), "peak_bytes": peak_bytes(), "cpu_s": time.process_time() - began_cpu_s}
    _say(json.dumps(found))
    # A process of an agent's size takes long to be taken apart, which other devices of a benchmark would pay for.
    os._exit(0)


def _entries(order: dict[str, Any]) -> list[FileEntry]:
    return [FileEntry.model_validate_json(Path(file).read_text()) for file in order["entries"]]


async def download_all(order: dict[str, Any], entries: list[FileEntry]) -> None:
    """Let every device fetch its file."""
    async with anyio.create_task_group() as tasks:
        for device, entry in zip(order["devices"], entries, strict=True):
            tasks.start_soon(download, order, device, entry)


@dataclass(frozen=True)
class KnownBy:
    """A device's identity that never ends."""

    device: str
    identity: Path
    authority: Path

    def tls_context(self) -> ssl.SSLContext:
        """Return what its connections are made with."""
        return fleet_context(self.authority.read_text(), self.identity, utc_now)

    def client_id(self, line: str = "") -> str:
        """Return a name for one line; nobody guesses here."""
        return f"{self.device}-{line}"


class CountedBroker:
    """A broker that adds a byte to a file for each chunk that came, which outlives the process."""

    def __init__(self, broker: BulkBroker, tally: Path) -> None:
        """Connect through `broker`."""
        self._broker = broker
        self._tally = tally

    @asynccontextmanager
    async def connect_bulk(self) -> AsyncIterator[CountedConnection]:
        """Open a connection."""
        async with self._broker.connect_bulk() as connection:
            with self._tally.open("ab", buffering=0) as stream:
                yield CountedConnection(connection, stream)


class CountedConnection:
    """A connection that counts chunks."""

    def __init__(self, connection: BulkConnection, stream: FileIO) -> None:
        """Count in `stream`."""
        self._stream = stream
        self.publish, self.subscribe, self.unsubscribe = connection.publish, connection.subscribe, connection.unsubscribe
        self.receive, self.left = connection.receive, connection.left
        self._heard_by = connection.heard_by

    def heard_by(self, taker: Taker) -> AbstractAsyncContextManager[None]:
        """Let a taker have each message, and count it."""

        def count(topic: str, payload: memoryview) -> Found | None:
            self._stream.write(b"." * (parse_chunk(topic) is not None))
            return taker(topic, payload)

        return self._heard_by(count)


async def download(order: dict[str, Any], device: str, entry: FileEntry) -> None:
    """Fetch one file as an agent does."""
    folder = Path(order["folder"]) / device
    incoming = Incoming(folder)
    source = _server(order) if "url" in order else _broker(order, device, folder)
    downloader = Downloader((source,), incoming, Pace(0.0, None))
    await downloader.fetch(WantedFile(entry.sha256, entry.bytes, entry.chunks), lambda _: None)


def _server(order: dict[str, Any]) -> HttpSource:
    return HttpSource(order["url"], lambda: ssl.create_default_context(cafile=order["authority"]))


def _broker(order: dict[str, Any], device: str, folder: Path) -> BrokerSource:
    identity = Identity(DeviceSection(id=device, hardware="cpu"), "0", {}, MACHINE, secrets.token_hex(8))
    known_by = KnownBy(device, Path(order["identities"][device]), Path(order["authority"]))
    address = BrokerAddress(order["host"], order["port"], 15, known_by)
    broker = CountedBroker(BulkBroker(address), folder.with_suffix(".tally"))
    outbox = Outbox(OutboxFiles(folder / "outbox"), Limits(1 << 20, 3600.0), time.monotonic)
    return BrokerSource(broker, Reporter(identity, Memory(), outbox), LinkFile(folder / "links.json", str(address)))


def peak_bytes() -> int:
    """Return the most memory this process ever had resident."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
