"""The peer of the fleet's delivery: its line for files alone, which sends one chunk from memory again and again."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from contracts.chunks import CHUNK_BYTES
from fleet.south.bulk import BulkLink
from fleet.south.delivery import AHEAD_CHUNKS
from fleet.south.mqtt import Login


def main() -> None:
    """Read an order from the first line of input, wait for the second, publish, say when all was taken."""
    order = json.loads(sys.stdin.readline())
    link = BulkLink(Login(order["host"], order["port"], Path(order["authority"]), Path(order["own"])), "bare", ())
    while not link.is_up:
        link.take(1, 0.1)
    chunk = os.urandom(CHUNK_BYTES)
    *most, last = [(topic, chunk) for _ in range(order["chunks"]) for topic in order["topics"]]
    print("ready", flush=True)
    sys.stdin.readline()
    link.send(most, AHEAD_CHUNKS)
    link.send([last], 0)
    print(json.dumps({}), flush=True)
    link.close()


if __name__ == "__main__":
    main()
