"""Touches the process that builds an engine: started out of everybody's way, so that what serves meanwhile is not slowed down."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections import deque
from collections.abc import Sequence

import anyio
from pydantic import ValidationError

from agent.core.engines import MAX_BUILT_BYTES, BuildOrder, Built
from agent.errors import EngineError

# What of a builder's last words is kept.
LAST_LINES, LAST_CHARS = 4, 600
# A killed process is gone in no time, unless a driver holds it in the kernel.
KILLED_S = 5.0
# Idle to the disk and to the processor, wherever the system's own tools are there to say so.
STEPPING_BACK = (("ionice", "-c", "3"), ("chrt", "--idle", "0"), ("nice", "-n", "19"))


class BuilderProcess:
    """Runs `python -m agent.builder`, or what stands in for it."""

    def __init__(self, command: Sequence[str], stepping_back: Sequence[Sequence[str]] = STEPPING_BACK) -> None:
        """Run `command` with the order appended, by commands that make it step back: on a machine without a free moment it stands still."""
        # A builder must not outlive us; systemd sees to that too, this is for when there is none.
        wrappers = (("setpriv", "--pdeathsig", "KILL", "--"), *stepping_back)
        self._command = [word for wrapper in wrappers if shutil.which(wrapper[0]) for word in wrapper] + list(command)

    async def build(self, order: BuildOrder) -> Built:
        """Build into the order's folder; raise EngineError with the builder's last lines. Cancelled, it leaves no process behind."""
        arguments, nothing, pipe = [*self._command, order.model_dump_json()], asyncio.subprocess.DEVNULL, asyncio.subprocess.PIPE
        try:
            # Cancelled half way, the process would be nobody's.
            with anyio.CancelScope(shield=True):
                process = await asyncio.create_subprocess_exec(*arguments, stdin=nothing, stdout=pipe, stderr=pipe, limit=MAX_BUILT_BYTES)
        except OSError as error:
            raise EngineError(f"a builder that cannot be started: {error}") from error
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
        if status:
            how = f"signal {-status}" if status < 0 else f"exit status {status}"
            raise EngineError(f"{how}: {told.text or 'without a word'}")
        try:
            return Built.model_validate_json(said.text)
        except ValidationError as error:
            raise EngineError(f"a builder that said {said.text[:200]!r}") from error


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
