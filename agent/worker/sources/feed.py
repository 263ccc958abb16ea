"""Touches the process that reads a source: starts it, asks it for pictures, and ends it."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from datetime import datetime, timezone

from agent.worker.bounds import resident_bytes_of
from agent.worker.errors import SourceError
from agent.worker.sources.frame import ASK, CHANNELS, HEAD, MAX_PIXELS, MAX_REASON_BYTES, NOTHING_NEW, PICTURE, Frame, Order

# A whole picture of a common camera at once, so that few wake-ups bring it.
BUFFER_BYTES = 4 << 20
READER = (sys.executable, "-m", "agent.worker.sources.reader")
# A killed process is gone in no time, unless a driver holds it in the kernel.
KILLED_S = 2.0


class Feed:
    """One process that reads one source."""

    def __init__(self, process: Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take over a started process."""
        self._process = process
        self._reader = reader
        self._writer = writer

    @classmethod
    async def start(cls, order: Order) -> Feed:
        """Start reading; raise SourceError. Whether there are any pictures is first known by asking for one."""
        try:
            process = await asyncio.create_subprocess_exec(*READER, stdin=PIPE, stdout=PIPE, limit=BUFFER_BYTES)
        except OSError as error:
            raise SourceError(f"its reader cannot be started: {error}") from error
        assert process.stdin is not None  # both are pipes
        assert process.stdout is not None
        process.stdin.write(order.model_dump_json().encode() + b"\n")
        return cls(process, process.stdout, process.stdin)

    async def look(self, deadline_s: float) -> Frame | None:
        """Return the next picture, None when there is nothing new; raise SourceError, after which there is no other one."""
        try:
            return await asyncio.wait_for(self._ask(), deadline_s)
        except asyncio.TimeoutError as error:
            raise SourceError(f"no frame in {deadline_s:g} s") from error
        except (OSError, asyncio.IncompleteReadError) as error:
            raise SourceError(f"its reader ended by itself{await self._how()}") from error

    @property
    def rss_bytes(self) -> int | None:
        """Return the resident memory of the process; None once it has gone."""
        return resident_bytes_of(self._process.pid) if self._process.returncode is None else None

    async def end(self) -> bool:
        """End the process, and so let the camera go; say whether it has gone."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
        self._writer.close()
        return await self.has_gone(KILLED_S)

    async def has_gone(self, patience_s: float) -> bool:
        """Say whether the process has ended."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._process.wait(), patience_s)
        return self._process.returncode is not None

    async def _ask(self) -> Frame | None:
        self._writer.write(ASK)
        await self._writer.drain()
        kind, height, width = HEAD.unpack(await self._reader.readexactly(HEAD.size))
        if kind == NOTHING_NEW:
            return None
        if kind != PICTURE:
            raise SourceError((await self._reader.readexactly(min(height, MAX_REASON_BYTES))).decode(errors="replace"))
        if not 0 < height * width <= MAX_PIXELS:
            raise SourceError(f"its picture: expected at most {MAX_PIXELS} pixels, found {height}x{width}")
        pixels = await self._reader.readexactly(height * width * CHANNELS)
        return Frame(height, width, pixels, datetime.now(timezone.utc))

    async def _how(self) -> str:
        if not await self.has_gone(KILLED_S):
            return ""
        status = self._process.returncode or 0
        return f" with signal {-status}" if status < 0 else f" with exit status {status}"
