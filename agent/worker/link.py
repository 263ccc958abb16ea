"""Reads and writes the link to the control process: JSON lines on an inherited socket."""

from __future__ import annotations

import asyncio
import socket

from pydantic import ValidationError

from agent.worker.errors import LinkBrokenError
from agent.worker_link import CONTROL_LINE, MAX_LINE_BYTES, ControlLine, Line

# A control process that reads nothing for so long is as good as dead.
SEND_TIMEOUT_S = 10.0


class Link:
    """The worker's end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, fd: int) -> Link:
        """Take over the inherited descriptor."""
        return cls(*await asyncio.open_connection(sock=socket.socket(fileno=fd), limit=MAX_LINE_BYTES))

    async def send(self, line: Line) -> None:
        """Write one line; raise LinkBrokenError when the control process does not take it."""
        self._writer.write(line.model_dump_json().encode() + b"\n")
        try:
            await asyncio.wait_for(self._writer.drain(), SEND_TIMEOUT_S)
        except (OSError, asyncio.TimeoutError) as error:
            raise LinkBrokenError("a reader", repr(error)) from error

    async def receive(self) -> ControlLine | None:
        """Return the next line, None once the control process has gone; raise LinkBrokenError for a line that is none."""
        try:
            raw = await self._reader.readuntil()
        except (asyncio.IncompleteReadError, OSError):
            return None
        except asyncio.LimitOverrunError as error:
            raise LinkBrokenError(f"lines of at most {MAX_LINE_BYTES} bytes", "a longer one") from error
        try:
            return CONTROL_LINE.validate_json(raw)
        except ValidationError as error:
            raise LinkBrokenError("a line of the control process", repr(raw[:80])) from error
