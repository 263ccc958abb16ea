"""Devices that only download: the agent's own downloader and broker connection, some devices in one process."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import sys
import time
from pathlib import Path
from typing import Any

import anyio

import agent.wiring  # noqa: F401  # so that the process is as large as an agent is
from agent.adapters.incoming import Incoming
from agent.adapters.link_file import LinkFile
from agent.adapters.mqtt import BrokerAddress, MqttBroker
from agent.control.basket import Pace
from agent.control.broker_source import BrokerSource
from agent.control.downloader import Downloader
from agent.control.reporter import Identity, Reporter
from agent.core.memory import Memory
from agent.core.pieces import WantedFile
from contracts.agent_config import DeviceSection
from contracts.manifest import FileEntry
from contracts.messages import Machine

MACHINE = Machine(architecture="any", system="any", python="any", cpu_count=1, memory_bytes=1, disk_bytes=1)


def main() -> None:
    """Read an order from the first line of input, wait for the second, download, print when it began and ended."""
    order = json.loads(sys.stdin.readline())
    entries = [FileEntry.model_validate_json(Path(file).read_text()) for file in order["entries"]]
    print("ready", flush=True)
    sys.stdin.readline()
    began_s = time.monotonic()
    asyncio.run(download_all(order, entries))
    found = {"began_s": began_s, "ended_s": time.monotonic(), "peak_bytes": peak_bytes(), "cpu_s": time.process_time()}
    print(json.dumps(found), flush=True)


async def download_all(order: dict[str, Any], entries: list[FileEntry]) -> None:
    """Let every device fetch its file."""
    async with anyio.create_task_group() as tasks:
        for device, entry in zip(order["devices"], entries, strict=True):
            tasks.start_soon(download, order, device, entry)


async def download(order: dict[str, Any], device: str, entry: FileEntry) -> None:
    """Fetch one file as an agent does."""
    folder = Path(order["folder"]) / device
    incoming = Incoming(folder)
    identity = Identity(DeviceSection(id=device, hardware="cpu"), "0", {}, MACHINE, secrets.token_hex(8))
    address = BrokerAddress(order["host"], order["port"], device, order["password"], 15)
    source = BrokerSource(MqttBroker(address), Reporter(identity, Memory()), LinkFile(folder / "links.json", str(address)))
    downloader = Downloader((source,), incoming, Pace(0.0, None))
    await downloader.fetch(WantedFile(entry.sha256, entry.bytes, entry.chunks), lambda _: None)


def peak_bytes() -> int:
    """Return the most memory this process ever had resident."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


if __name__ == "__main__":
    main()
