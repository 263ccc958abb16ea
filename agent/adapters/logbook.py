"""Touches what the agent logged: the journal where we may read it, else the file that it goes to, else the lines still in memory."""

from __future__ import annotations

import logging
import os
import shutil
import stat
from collections import deque
from pathlib import Path

import anyio

from agent.core.install_plan import UNIT
from contracts.commands import MAX_LOG_BYTES, Logs

JOURNAL_S = 10.0
# How far from the end of a file we begin to read.
TAIL_BYTES = 4 * MAX_LOG_BYTES
STDERR = "/proc/self/fd/2"


class RecentLog(logging.Handler):
    """The newest lines of this process, for a service that may not read the system's journal."""

    def __init__(self) -> None:
        """Keep about as much as may be told."""
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        self._lines: deque[str] = deque()
        self._bytes = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line, and let the oldest go."""
        line = self.format(record)[:MAX_LOG_BYTES]
        self._lines.append(line)
        self._bytes += len(line)
        while self._bytes > MAX_LOG_BYTES:
            self._bytes -= len(self._lines.popleft())

    @property
    def text(self) -> str:
        """Return them."""
        return "\n".join(list(self._lines))


def recent_log() -> RecentLog:
    """Return what keeps this process's newest lines, from the first call on."""
    root = logging.getLogger()
    found = next((handler for handler in root.handlers if isinstance(handler, RecentLog)), None)
    if found is None:
        root.addHandler(found := RecentLog())
    return found


class Logbook:
    """The agent's log."""

    def __init__(self, recent: RecentLog) -> None:
        """Fall back to `recent`."""
        self._recent = recent

    async def tail(self, lines: int) -> Logs:
        """Return the last lines, at most as many bytes as a result may have."""
        if "JOURNAL_STREAM" in os.environ and (text := await _journal(lines)):
            return Logs(source="journal", text=_last(text, lines))
        if text := await anyio.to_thread.run_sync(_file):
            return Logs(source="file", text=_last(text, lines))
        return Logs(source="memory", text=_last(self._recent.text, lines))


async def _journal(lines: int) -> str:
    journalctl = shutil.which("journalctl")
    if journalctl is None:
        return ""
    command = [journalctl, "--quiet", "--no-pager", "--output=short-iso", f"--lines={lines}", f"--unit={UNIT}"]
    try:
        with anyio.fail_after(JOURNAL_S):
            done = await anyio.run_process(command, check=False)
    except (OSError, TimeoutError):
        return ""
    return "" if done.returncode else done.stdout.decode(errors="replace")


def _file() -> str:
    """Return the end of the file that standard error goes to; nothing when it is no file."""
    try:
        if not stat.S_ISREG(os.fstat(2).st_mode):
            return ""
        with Path(STDERR).open("rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - TAIL_BYTES))
            return stream.read(TAIL_BYTES).decode(errors="replace")
    except OSError:
        return ""


def _last(text: str, lines: int) -> str:
    kept = "\n".join(text.splitlines()[-lines:]).encode()[-MAX_LOG_BYTES:]
    return kept.decode(errors="ignore")
