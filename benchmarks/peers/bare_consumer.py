"""What the broker passes with no database: our own line and nothing behind it, which acknowledges and forgets."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from fleet.heap import let_garbage_wait
from fleet.south import ingest
from fleet.south.ingest import BATCH_MESSAGES, LINGER_S, PATIENCE_S
from fleet.south.mqtt import Login
from fleet.south.uplink_line import UplinkLine


def main() -> None:
    """Take so many messages, and print what it came to."""
    order = json.loads(sys.stdin.readline())
    line = UplinkLine(Login("127.0.0.1", order["port"], Path(order["authority"]), Path(order["own"])), ingest.TOPICS)
    while not line.is_up:
        line.take(1, 0.1)
    let_garbage_wait()  # as the server does
    print("ready", flush=True)
    sys.stdin.readline()
    began_cpu_s = time.process_time()
    messages = 0
    while messages < order["messages"]:
        messages += len(line.take(BATCH_MESSAGES, PATIENCE_S, LINGER_S))
        line.settle()
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"ended_s": time.time(), "cpu_s": time.process_time() - began_cpu_s, "peak_bytes": peak_bytes}), flush=True)
    line.close()


if __name__ == "__main__":
    main()
