"""What the supervisor needs of worker processes."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from agent.worker_link import Line, WorkerLine


class Process(Protocol):
    """One worker process and the link to it."""

    pid: int

    async def send(self, line: Line) -> None:
        """Write a line; raise WorkerError."""

    async def receive(self) -> WorkerLine | None:
        """Return the next line, None at the end; raise WorkerError."""

    async def wait(self) -> str:
        """Wait for its end, and say how it ended."""

    def kill(self) -> None:
        """End it at once."""


class Launcher(Protocol):
    """Where worker processes come from."""

    def endpoint(self, model: str) -> str:
        """Return where callers reach a model, empty before its first worker."""

    async def start(self, model: str, folder: Path, target: str) -> Process:
        """Start a worker; raise AgentError."""
