"""Touches worker processes: starts one with its sockets inherited, and speaks JSON lines with it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from pydantic import ValidationError

from agent.adapters.sockets import MAX_PORTS_TRIED, Listeners, open_listeners
from agent.adapters.store import StateStore
from agent.errors import StateError, WorkerError
from agent.worker_link import MAX_LINE_BYTES, WORKER_LINE, Line, Look, WorkerLine, WorkerSetup
from contracts.agent_config import RuntimeSection
from contracts.source_config import SourceSection

SEND_S = 5.0
SHOWN_BYTES = 60
MAX_THREADS = 4
# One serves, one relieves it, one is tried, one drains; many more of a model can only be processes that not even SIGKILL ends.
MAX_PROCESSES = 8
# Beyond what is watched for, so that only a sudden growth meets the kernel's limit.
DATA_SHARE = 2.0
# CUDA reserves address space by the gigabyte, all of which the limit would count.
CUDA_TARGETS = "jetson"
LAST_PORT = 65535


class WorkerProcess:
    """One worker and our end of the link to it."""

    def __init__(self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take over a started process."""
        self._process = process
        self._reader = reader
        self._writer = writer
        self.pid = process.pid

    async def send(self, line: Line) -> None:
        """Write one line; raise WorkerError when the worker does not take it."""
        try:
            self._writer.write(line.model_dump_json().encode() + b"\n")
            await asyncio.wait_for(self._writer.drain(), SEND_S)
        except (OSError, asyncio.TimeoutError) as error:
            raise WorkerError(f"its link is closed: {error!r}") from error

    async def receive(self) -> WorkerLine | None:
        """Return the next line, None when the worker closed the link; raise WorkerError for a line that is none."""
        try:
            raw = await self._reader.readuntil()
        except (asyncio.IncompleteReadError, OSError):
            return None
        except asyncio.LimitOverrunError as error:
            raise WorkerError(f"its link: expected lines of at most {MAX_LINE_BYTES} bytes, found a longer one") from error
        try:
            return WORKER_LINE.validate_json(raw)
        except ValidationError as error:
            raise WorkerError(f"its link: expected a line of a worker, found {raw[:SHOWN_BYTES]!r}") from error

    @property
    def has_ended(self) -> bool:
        """Say whether it is gone."""
        return self._process.returncode is not None

    async def wait(self) -> str:
        """Wait until it has ended, and say how."""
        status = await self._process.wait()
        self._writer.close()
        return f"signal {-status}" if status < 0 else f"exit status {status}"

    def kill(self) -> None:
        """End it at once; a no-op when it has ended."""
        if self._process.returncode is None:
            self._process.kill()


@dataclass(frozen=True)
class Terms:
    """What every worker is told at its start: how often it reports, its share of memory, what may run its model, and its camera."""

    window_s: float
    memory_bytes: int
    runtime: RuntimeSection
    # By model, for those that have one.
    sources: Mapping[str, SourceSection] = field(default_factory=dict)


class WorkerLauncher:
    """Starts workers of any model."""

    def __init__(self, command: Sequence[str], store: StateStore, host: str, first_port: int, terms: Terms) -> None:
        """Run `command` with the setup appended; models are served on `host` from `first_port` on."""
        self._command = command
        self._store = store
        self._host = host
        self._first_port = first_port
        self._terms = terms
        self._doors: dict[str, Listeners] = {}
        self._processes: dict[str, list[WorkerProcess]] = {}

    def tell(self, terms: Terms) -> None:
        """Start workers under other terms from now on."""
        self._terms = terms

    def endpoint(self, model: str) -> str:
        """Return where callers reach the model, empty before its first worker."""
        doors = self._doors.get(model)
        return "" if doors is None else doors.endpoint

    async def start(self, model: str, folder: Path, target: str) -> WorkerProcess:
        """Start a worker on a release; raise WorkerError, NoFreePortError or StateError."""
        alive = self._processes[model] = [process for process in self._processes.get(model, ()) if not process.has_ended]
        if len(alive) >= MAX_PROCESSES:
            raise WorkerError(f"it cannot be started: expected earlier ones to end, found {len(alive)} that a driver holds in the kernel")
        try:
            doors = self._doors.get(model) or self._open(model)
            process = await self._spawn(model, folder, target, doors)
        except OSError as error:
            raise WorkerError(f"it cannot be started: {error}") from error
        alive.append(process)
        return process

    async def _spawn(self, model: str, folder: Path, target: str, doors: Listeners) -> WorkerProcess:
        ours, theirs = socket.socketpair()
        try:
            # Cancelled half way, the process would be nobody's.
            with theirs, anyio.CancelScope(shield=True):
                setup = self._setup(model, folder, target, doors, theirs.fileno())
                arguments = [*self._command, setup.model_dump_json()]
                inherited = (setup.link_fd, *setup.listen_fds)
                process = await asyncio.create_subprocess_exec(*arguments, stdin=asyncio.subprocess.DEVNULL, pass_fds=inherited)
                worker = WorkerProcess(process, *await asyncio.open_connection(sock=ours, limit=MAX_LINE_BYTES))
                if (source := self._terms.sources.get(model)) is not None:
                    with suppress(WorkerError):  # whoever follows it finds out how it ended
                        await worker.send(Look(source=source))
        except (OSError, StateError):
            ours.close()
            raise
        return worker

    def _setup(self, model: str, folder: Path, target: str, doors: Listeners, link_fd: int) -> WorkerSetup:
        return WorkerSetup(
            model=model,
            release_dir=str(folder),
            target=target,
            link_fd=link_fd,
            listen_fds=doors.fds,
            token_file=str(self._store.token_file()),
            window_s=self._terms.window_s,
            threads=min(MAX_THREADS, os.cpu_count() or 1),
            runtime=self._terms.runtime,
            data_bytes=None if target.startswith(CUDA_TARGETS) else int(self._terms.memory_bytes * DATA_SHARE),
        )

    def close(self) -> None:
        """Shut every door."""
        for doors in self._doors.values():
            doors.close()
        self._doors.clear()

    def _open(self, model: str) -> Listeners:
        known = self._store.load_port(model)
        others = {self._store.load_port(other) for other in self._store.models() if other != model}
        last = min(self._first_port + MAX_PORTS_TRIED, LAST_PORT + 1)
        ports = [port for port in range(self._first_port, last) if port not in others]
        doors = open_listeners(self._host, ports if known is None else [known, *ports], self._store.root / "run" / f"{model}.sock")
        try:
            self._store.save_port(model, doors.port)
        except (OSError, StateError):
            doors.close()
            raise
        self._doors[model] = doors
        return doors
