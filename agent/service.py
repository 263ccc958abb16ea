"""The control process's entry: reads what it was started with, runs the agent until a signal, ends with a status."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from agent import wiring
from agent.config import Settings, load_settings
from agent.control.worker import Patience
from agent.ground import WORKER_COMMAND, WorkerKind
from agent.runtimes.installed import installed_runtimes
from contracts.errors import FieldfareError

STATUS_INTERRUPTED = 130


def main(arguments: list[str]) -> NoReturn:
    """Run the agent of a configuration; bad input ends in one line on stderr and the error's own exit status."""
    config, log_level, *state_dir = arguments
    try:
        settings = load_settings(Path(config), Path(state_dir[0]) if state_dir else None)
        start_logging(log_level)
        asyncio.run(run_until_signalled(settings, WorkerKind(WORKER_COMMAND, installed_runtimes(), Patience())))
    except FieldfareError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        sys.exit(STATUS_INTERRUPTED)
    sys.exit(0)


async def run_until_signalled(settings: Settings, kind: WorkerKind) -> None:
    """Run the agent until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await wiring.run(settings, kind, stop)


def start_logging(level: str) -> None:
    """Log one line per record to stderr, with the time where no journal adds it."""
    time = "" if "JOURNAL_STREAM" in os.environ else "%(asctime)s "
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine(f"{time}%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])


class OneLine(logging.Formatter):
    """A record is one line, whatever a device or a broker put into it."""

    def format(self, record: logging.LogRecord) -> str:
        """Escape line breaks."""
        return super().format(record).replace("\n", "\\n").replace("\r", "\\r")
