"""Follows one worker process from its start to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from agent.control.delivery import Installed
from agent.control.ports.workers import Process
from agent.errors import WorkerError
from agent.worker_link import Drain, Failed, Pulse, Ready, Serve, Serving, Window, WorkerLine
from contracts.messages import InferenceWindow


@dataclass(frozen=True)
class Patience:
    """How long a worker may take; `ready_s` leaves room for building an accelerator's engine."""

    ready_s: float = 1200.0
    serving_s: float = 10.0
    silence_s: float = 10.0
    drain_s: float = 10.0


class Worker:
    """One process; `run` must be running for all else to work."""

    def __init__(self, installed: Installed, process: Process, patience: Patience, on_window: Callable[[InferenceWindow], None]) -> None:
        """Follow a process that was started on `installed`."""
        self.installed = installed
        self.pid = process.pid
        self.ready: Ready | None = None
        self.pulse: Pulse | None = None
        self.end_reason = ""
        self.has_ended = False
        self.is_serving = False
        self._process = process
        self._patience = patience
        self._on_window = on_window
        self._news = asyncio.Event()
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Read the link until the process has ended; never leave it behind."""
        try:
            await self._listen()
            with anyio.move_on_after(self._patience.serving_s):
                self._end(await self._process.wait())
        finally:
            self._process.kill()
            with anyio.CancelScope(shield=True):  # a killed process is gone in no time
                self._end(await self._process.wait())

    async def until_ready(self) -> Ready:
        """Wait for the golden test's result; raise WorkerError."""
        await self._until(lambda: self.ready is not None, self._patience.ready_s, "be ready")
        assert self.ready is not None
        return self.ready

    async def serve(self) -> None:
        """Let it accept connections; raise WorkerError."""
        await self._process.send(Serve())
        await self._until(lambda: self.is_serving, self._patience.serving_s, "serve")

    async def drain(self) -> None:
        """Let it finish what is under way and leave; end it when it does not."""
        try:
            await self._process.send(Drain(deadline_s=self._patience.drain_s))
            with anyio.move_on_after(self._patience.drain_s + 1):
                await self._ended.wait()
        except WorkerError:
            pass  # it is on its way out already
        finally:
            self._process.kill()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    async def _listen(self) -> None:
        while True:
            silence_s = self._patience.silence_s if self.is_serving else None
            try:
                line = await asyncio.wait_for(self._process.receive(), silence_s)
            except asyncio.TimeoutError:
                self.end_reason = f"it hung: no sign of life in {silence_s:g} s"
                self._process.kill()
                return
            except WorkerError as error:
                self.end_reason = str(error)
                self._process.kill()
                return
            if line is None:
                return
            self._hear(line)
            self._news.set()

    def _hear(self, line: WorkerLine) -> None:
        match line:
            case Ready():
                self.ready = line
            case Failed(reason=reason):
                self.end_reason = reason
            case Serving():
                self.is_serving = True
            case Pulse():
                self.pulse = line
            case Window(window=window):
                self._on_window(window)

    async def _until(self, is_so: Callable[[], bool], deadline_s: float, deed: str) -> None:
        with anyio.move_on_after(deadline_s):
            while not is_so() and not self.has_ended:
                self._news.clear()
                await self._news.wait()
        if self.has_ended:
            raise WorkerError(self.end_reason)
        if not is_so():
            self._process.kill()
            raise WorkerError(f"it did not {deed} in {deadline_s:g} s")

    def _end(self, how: str) -> None:
        self.end_reason = self.end_reason or f"it ended with {how}"
        self.has_ended = True
        self._news.set()
        self._ended.set()
