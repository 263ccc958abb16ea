"""The worker's entry: reads its setup from the command line, lives, and ends the process with a status."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import NoReturn

from agent.worker.bounds import bind
from agent.worker.lifetime import live
from agent.worker_link import WorkerSetup
from contracts import codec
from contracts.errors import FieldfareError

MAX_SETUP_BYTES = 64 * 1024
USAGE = "usage: python -m agent.worker '<setup as JSON>'; the agent's control process starts workers itself\n"


def main(arguments: list[str]) -> NoReturn:
    """Run one worker; statuses: 0 drained, 1 failed, 2 wrong setup, 3 the control process has gone."""
    if len(arguments) != 1:
        sys.stderr.write(USAGE)
        sys.exit(2)
    try:
        setup = codec.decode(WorkerSetup, arguments[0].encode(), name="setup", max_bytes=MAX_SETUP_BYTES)
    except FieldfareError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_status)
    bind(setup.data_bytes)
    status = asyncio.run(live(setup))
    sys.stderr.flush()
    # The engine's thread may still be inside the runtime, and the interpreter's own end would wait for it or crash under it.
    os._exit(status)
