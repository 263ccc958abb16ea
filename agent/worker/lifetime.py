"""Leads a worker through its life: prepare, say how it went, serve when told, drain, end."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from agent.worker.bounds import resident_bytes
from agent.worker.company import Company
from agent.worker.engine import Engine
from agent.worker.errors import LinkBrokenError, OverloadedError, SetupError
from agent.worker.link import Link
from agent.worker.listener import Listener
from agent.worker.mirror import Mirror
from agent.worker.model import Model
from agent.worker.preparation import Prepared, prepare, prove_again
from agent.worker.priority import come_forward
from agent.worker.reporting import WindowReporter
from agent.worker.service import ModelService
from agent.worker.sources.lookout import Lookout
from agent.worker.sources.snapshot import Photographer
from agent.worker.statistics import Statistics
from agent.worker_link import (
    Drain,
    Failed,
    Look,
    Prove,
    Proven,
    Pulse,
    Ready,
    Reflect,
    Rest,
    Serve,
    Serving,
    Shadow,
    Snapshot,
    WorkerSetup,
)
from contracts.errors import FieldfareError
from contracts.small_files import read_bounded
from contracts.source_config import SourceSection

PULSE_S = 1.0
MAX_WAITING_REQUESTS = 128
MAX_REASON_LETTERS = 1000
MIN_TOKEN_LETTERS, MAX_TOKEN_BYTES = 16, 1024
# A stop that did not come over the link, such as the service manager's, still lets callers finish.
SIGNAL_DRAIN_S = 5.0


EXIT_DONE, EXIT_FAILED, EXIT_LINK_LOST = 0, 1, 3


class Worker:
    """One life; whatever happens first decides the exit status."""

    def __init__(self, setup: WorkerSetup, link: Link, tasks: TaskGroup) -> None:
        self._setup = setup
        self._link = link
        self._tasks = tasks
        loop = asyncio.get_running_loop()
        self._end: asyncio.Future[int] = loop.create_future()
        self._engine = Engine(loop, MAX_WAITING_REQUESTS)
        self._statistics = Statistics()
        self._token = b""
        self._prepared: Prepared | None = None
        self._listener: Listener | None = None
        self._windows: WindowReporter | None = None
        self._source: SourceSection | None = None
        self._lookout: Lookout | None = None
        self._photographer = Photographer()
        self._company = Company(setup, self._engine, link.send)
        self._is_draining = False

    @property
    def exit_status(self) -> int:
        """How it ended, once it has."""
        return self._end.result()

    async def run(self) -> None:
        """Live until drained, failed, or left alone."""
        self._start("obey", self._obey)
        self._start("signals", self._heed_signals)
        self._start("prepare", self._prepare)
        self._start("pulse", self._pulse)
        await self._end
        self._tasks.cancel_scope.cancel()

    async def _obey(self) -> None:
        while (line := await self._link.receive()) is not None:
            match line:
                case Look(source=source):
                    self._source = source
                case Serve():
                    await self._serve()
                case Reflect() | Rest():
                    self._company.heed(line)
                case Shadow() if self._prepared is not None:
                    self._start("shadow", partial(self._company.shadow, self._prepared.model, line))
                case Drain(deadline_s=deadline_s):
                    self._begin_drain(deadline_s)
                case Prove():
                    self._start("prove", self._prove)
                case Snapshot():
                    self._start("snapshot", partial(self._photograph, line))
        self._finish(EXIT_LINK_LOST)

    async def _heed_signals(self) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for number in signals:
                # Ctrl-C in a terminal reaches every process of the agent; the control process alone decides what it means.
                if number == signal.SIGTERM:
                    self._begin_drain(SIGNAL_DRAIN_S)

    async def _prepare(self) -> None:
        try:
            self._token = _read_token(Path(self._setup.token_file))
            self._prepared = await self._engine.run(partial(prepare, self._setup))
        except FieldfareError as error:
            await self._fail(str(error))
            return
        await self._link.send(_ready(self._prepared))

    async def _prove(self) -> None:
        if self._prepared is None:
            return
        try:
            verdict = await self._engine.run(partial(prove_again, self._prepared, Path(self._setup.release_dir)))
        except OverloadedError:
            # Whoever asks so much shows by the answers whether they are right.
            await self._link.send(Proven(passed=True))
        except FieldfareError as error:
            await self._link.send(Proven(passed=False, reason=str(error)[:MAX_REASON_LETTERS]))
        else:
            await self._link.send(Proven(passed=verdict.passed, reason=verdict.reason[:MAX_REASON_LETTERS]))

    async def _pulse(self) -> None:
        while self._engine.is_alive:
            vigil = None if self._prepared is None else self._prepared.vigil
            if vigil is not None and vigil.lost:
                await self._fail(vigil.lost)
                return
            pulse = Pulse(
                requests=self._statistics.requests,
                errors=self._statistics.errors,
                in_flight=self._engine.in_flight,
                inference_age_s=0.0 if vigil is None else vigil.age_s,
                rss_bytes=resident_bytes(),
                source=None if self._lookout is None else self._lookout.health(),
            )
            await self._link.send(pulse)
            await asyncio.sleep(PULSE_S)
        self._finish(EXIT_FAILED)

    async def _serve(self) -> None:
        if self._is_draining:
            return
        if self._prepared is None or not self._prepared.verdict.passed:
            await self._fail("serve: expected a model whose golden set passed, found none")
            return
        if self._listener is None:
            model = self._prepared.model
            mirror = self._company.come_to_serve(model)
            service = ModelService(model, self._engine, self._statistics, mirror, self._token)
            sockets = [socket.socket(fileno=fd) for fd in self._setup.listen_fds]
            self._listener = Listener(sockets, service, service.signature.max_request_bytes)
            come_forward()
            self._listener.accept()
            self._windows = WindowReporter(self._link, self._statistics, model)
            self._start("sweep", self._listener.sweep)
            self._start("windows", partial(self._windows.send_windows, self._setup.window_s))
            self._begin_to_look(model, service, mirror)
        await self._link.send(Serving())

    def _begin_to_look(self, model: Model, service: ModelService, mirror: Mirror) -> None:
        if self._source is not None:
            self._lookout = Lookout(self._source, model, self._engine, self._statistics, mirror)
            service.show("latest", self._lookout.latest.page)
            self._start("look", self._lookout.run)

    async def _photograph(self, order: Snapshot) -> None:
        await self._link.send(await self._photographer.take(order, self._lookout))

    def _begin_drain(self, deadline_s: float) -> None:
        if not self._is_draining:
            self._is_draining = True
            if self._lookout is not None:
                self._lookout.close()  # whoever serves next waits for the camera
            self._start("drain", partial(self._drain, deadline_s))

    async def _drain(self, deadline_s: float) -> None:
        if self._listener is not None:
            await self._listener.drain(deadline_s)
        if self._windows is not None:
            await self._windows.send_window()
        self._finish(EXIT_DONE)

    async def _fail(self, reason: str) -> None:
        await self._link.send(Failed(reason=reason[:MAX_REASON_LETTERS]))
        self._finish(EXIT_FAILED)

    def _start(self, name: str, step: Callable[[], Awaitable[None]]) -> None:
        self._tasks.start_soon(self._guarded, step, name=name)

    async def _guarded(self, step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
        except LinkBrokenError as error:
            sys.stderr.write(f"error: {error}\n")
            self._finish(EXIT_LINK_LOST)

    def _finish(self, status: int) -> None:
        if not self._end.done():
            self._end.set_result(status)


async def live(setup: WorkerSetup) -> int:
    """Run one worker from its setup to its exit status."""
    link = await Link.open(setup.link_fd)
    async with anyio.create_task_group() as tasks:
        worker = Worker(setup, link, tasks)
        await worker.run()
    return worker.exit_status


def _ready(prepared: Prepared) -> Ready:
    runtime, verdict = prepared.model.runtime, prepared.verdict
    return Ready(
        runtime=runtime.name,
        runtime_version=runtime.version,
        provider=runtime.provider,
        preferred_provider=runtime.preferred_provider,
        placement=runtime.placement,
        load_s=prepared.load_s,
        golden_passed=verdict.passed,
        golden_samples=verdict.samples,
        golden_error=verdict.error,
        golden_tolerance=prepared.model.artifact.tolerance.absolute,
        reason=verdict.reason[:MAX_REASON_LETTERS],
        inference_s=prepared.vigil.slowest_s,
        is_exclusive=runtime.is_exclusive,
    )


def _read_token(path: Path) -> bytes:
    token = read_bounded(path, MAX_TOKEN_BYTES).strip()
    if len(token) < MIN_TOKEN_LETTERS:
        raise SetupError(str(path), f"a token of at least {MIN_TOKEN_LETTERS} letters", str(len(token)))
    return token
