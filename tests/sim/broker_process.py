"""The fleet's own broker in a process of its own, with its own configuration, started again when it dies; ends with its input."""

from __future__ import annotations

import json
import sys
from datetime import datetime, timezone
from pathlib import Path

import anyio
from anyio import to_thread

from fleet.authority import Authority
from fleet.south.broker import Broker
from fleet.south.mosquitto_conf import Address
from tests.sim.uplink_load import say


def main() -> None:
    """Read where to listen, run until the second line."""
    order = json.loads(sys.stdin.readline())
    anyio.run(serve, order)


async def serve(order: dict[str, str]) -> None:
    """Keep it alive."""
    folder, authority = Path(order["folder"]), Path(order["authority"])
    address = Address("127.0.0.1", int(order["port"]), authority, Path(order["server"]), Path(order["door"]))
    broker = Broker(folder, address)
    revoked = Authority(authority.parent, datetime.now(timezone.utc)).revocation_list((), datetime.now(timezone.utc))
    broker.admit((), revoked)
    await broker.start()
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(broker.keep_alive)
            say("ready")
            await to_thread.run_sync(sys.stdin.readline)
            tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await broker.stop()
    say("{}")


if __name__ == "__main__":
    main()
