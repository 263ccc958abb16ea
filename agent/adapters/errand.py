"""Touches a process that is started for one answer, out of everybody's way: its last line is the answer, its last words the reason."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import anyio

# What of a process's last words is kept.
LAST_LINES, LAST_CHARS = 4, 600
# A killed process is gone in no time, unless a driver holds it in the kernel.
KILLED_S = 5.0


@dataclass(frozen=True)
class Ended:
    """How an errand ended: its last line on standard output, and what went wrong, which is nothing after a good end."""

    said: str
    trouble: str


class Errand:
    """Runs a command with an argument appended."""

    def __init__(self, command: Sequence[str], stepping_back: Sequence[Sequence[str]], max_line_bytes: int) -> None:
        """Run `command` by commands that make it step back, those of them that the system has."""
        self._command = [word for wrapper in stepping_back if shutil.which(wrapper[0]) for word in wrapper] + list(command)
        self._max_line_bytes = max_line_bytes

    async def run(self, argument: str) -> Ended:
        """Run it to its end; raise OSError when it cannot be started. Cancelled, it leaves no process behind."""
        arguments, nothing, pipe = [*self._command, argument], asyncio.subprocess.DEVNULL, asyncio.subprocess.PIPE
        # Cancelled half way, the process would be nobody's.
        with anyio.CancelScope(shield=True):
            process = await asyncio.create_subprocess_exec(*arguments, stdin=nothing, stdout=pipe, stderr=pipe, limit=self._max_line_bytes)
        assert process.stdout is not None  # both are pipes
        assert process.stderr is not None
        said, told = Tail(process.stdout, 1), Tail(process.stderr, LAST_LINES)
        listeners = [asyncio.ensure_future(tail.listen()) for tail in (said, told)]
        try:
            await asyncio.wait(listeners)
            status = await process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            with anyio.move_on_after(KILLED_S, shield=True):
                await process.wait()
                await asyncio.wait(listeners)
            for listener in listeners:
                listener.cancel()
        if not status:
            return Ended(said.last_line, "")
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        return Ended(said.last_line, f"{how}: {told.text or 'without a word'}")


class Tail:
    """The last lines of a stream; whatever comes before is dropped."""

    def __init__(self, stream: asyncio.StreamReader, lines: int) -> None:
        """Listen to `stream`."""
        self._stream = stream
        self._lines: deque[str] = deque(maxlen=lines)

    @property
    def text(self) -> str:
        """Return them as one line, the newest whole."""
        return " | ".join(self._lines)[-LAST_CHARS:]

    @property
    def last_line(self) -> str:
        """Return the newest one whole."""
        return self._lines[-1] if self._lines else ""

    async def listen(self) -> None:
        """Read to the end."""
        while True:
            try:
                raw = await self._stream.readline()
            except ValueError:  # a line past the limit, of which the rest follows
                continue
            if not raw:
                return
            if line := raw.decode(errors="replace").strip():
                self._lines.append(line)
