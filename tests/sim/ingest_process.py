"""A fleet's ingest over any broker in a process of its own; the first line of input names port, papers, database and devices."""

from __future__ import annotations

import json
import logging
import resource
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from fleet.core.devices import Device
from fleet.core.freshness import Heard, Refused
from fleet.core.labels import SIMULATED
from fleet.heap import let_garbage_wait
from fleet.south import ingest
from fleet.south.ingest import Ingest, Sink
from fleet.south.mqtt import Login
from fleet.south.uplink_line import UplinkLine
from fleet.store.database import Database
from fleet.store.devices import DeviceStore
from fleet.store.uplinks import UplinkStore
from fleet.wall_clock import utc_now
from tests.sim.uplink_load import say


class Counting:
    """Knows how much was kept."""

    def __init__(self, sink: Sink | None) -> None:
        """Pass on to `sink`, or keep nothing."""
        self._sink = sink
        self.messages = 0

    def save(self, batch: Sequence[Heard], refused: Sequence[Refused]) -> tuple[str, ...]:
        """Count what was kept."""
        unknown = self._sink.save(batch, refused) if self._sink else ()
        self.messages += len(batch)
        return unknown


def main() -> None:
    """Take in so many messages, or until killed, and print what it came to."""
    logging.basicConfig(level=logging.WARNING)
    order = json.loads(sys.stdin.readline())
    line = UplinkLine(Login("127.0.0.1", order["port"], Path(order["authority"]), Path(order["own"])), ingest.TOPICS, order["replica"])
    database = Database(Path(order["database"]))
    DeviceStore(database).add_simulated([Device(device, "cpu", SIMULATED, utc_now()) for device in order["devices"]])
    sink = Counting(UplinkStore(database, timedelta(days=30)))
    loop = Ingest(line, sink, utc_now)
    while not line.subscriptions:
        loop.turn()
    let_garbage_wait()  # as the server does
    say("ready")
    sys.stdin.readline()
    began_cpu_s = time.process_time()
    while sink.messages < order["messages"]:
        loop.turn()
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    say(json.dumps({"ended_s": time.time(), "cpu_s": time.process_time() - began_cpu_s, "peak_bytes": peak_bytes}))
    line.close()
    database.close()


if __name__ == "__main__":
    main()
