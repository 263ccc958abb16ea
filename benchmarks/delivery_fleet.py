"""The fleet's half of the delivery benchmark: its broker as it configures it, and its delivery loop, without API and database."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

import anyio

from fleet.loops import repeat
from fleet.south import delivery
from fleet.south.broker import Broker
from fleet.south.bulk import BulkLink
from fleet.south.delivery import Delivery
from fleet.south.mosquitto_conf import Address
from fleet.south.mqtt import Login
from fleet.store.artifacts import ArtifactStore
from tests.sim.delivery_process import NoDeltas
from tests.sim.download_process import peak_bytes


async def main() -> None:
    """Read an order from the first line of input, serve until the input ends, print the memory it took."""
    order = json.loads(sys.stdin.readline())
    folder = Path(order["folder"])
    authority, server, own = (Path(order[name]) for name in ("authority", "server", "own"))
    broker = Broker(folder / "broker", Address(order["host"], order["port"], authority, server))
    broker.admit((), order["revoked"].encode())
    await broker.start()
    link = BulkLink(Login(order["host"], order["port"], authority, own), "fleet-bulk", delivery.TOPICS)
    loop = Delivery(link, ArtifactStore((folder / "artifacts").as_uri()), NoDeltas())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(repeat, loop.turn, 0.0)
        await anyio.to_thread.run_sync(wait_for, link)
        print("ready", flush=True)
        await anyio.to_thread.run_sync(sys.stdin.readline)
        tasks.cancel_scope.cancel()
    print(json.dumps({"peak_bytes": peak_bytes()}), flush=True)
    link.close()
    await broker.stop()


def wait_for(link: BulkLink) -> None:
    """Return when the broker is there."""
    while not link.is_up:
        time.sleep(0.01)


if __name__ == "__main__":
    asyncio.run(main())
