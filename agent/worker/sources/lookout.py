"""Leads a model's own looking: asks its source for pictures, has the model answer them, and hands the results on; it never gives up."""

from __future__ import annotations

import asyncio
import random
from functools import partial
from pathlib import Path
from time import monotonic, perf_counter
from typing import NoReturn

import anyio

from agent.core.source_watch import OPEN_S, SourceWatch, patience_s
from agent.runtimes.port import Arrays
from agent.worker.engine import Engine
from agent.worker.errors import SourceError
from agent.worker.mirror import Mirror, Sample
from agent.worker.model import Model
from agent.worker.sinks.latest import Latest
from agent.worker.sinks.result import Result, told_of
from agent.worker.sinks.results_file import ResultsFile
from agent.worker.sources.feed import Feed
from agent.worker.sources.fitting import Fitting
from agent.worker.sources.frame import Frame, Order
from agent.worker.statistics import Statistics
from contracts.errors import FieldfareError
from contracts.messages import SourceHealth
from contracts.source_config import SourceSection

# Lines that a slow disk may keep waiting.
MAX_WAITING_LINES = 64


class Lookout:
    """One source, one model."""

    def __init__(self, source: SourceSection, model: Model, engine: Engine, statistics: Statistics, mirror: Mirror) -> None:
        """Look through `source` once `run` runs."""
        self.newest: Frame | None = None
        self.latest = Latest(self.health)
        self._source = source
        self._model = model
        self._engine = engine
        self._statistics = statistics
        self._mirror = mirror
        self._watch = SourceWatch(source.shown, 0.0 if source.folder else source.frozen_s, monotonic())
        # Who reads it now.
        self._feed: Feed | None = None
        self._frames = 0
        self._lines: asyncio.Queue[bytes] = asyncio.Queue(MAX_WAITING_LINES)
        self._looking = anyio.CancelScope()

    def health(self) -> SourceHealth:
        """Return how the source is."""
        return self._watch.health(monotonic(), None if self._feed is None else self._feed.rss_bytes)

    async def run(self) -> None:
        """Look until `close`."""
        try:
            fitting = Fitting(self._model)
        except SourceError as error:
            self._watch.refused(str(error))
            return
        # It may have been closed before it was run.
        with self._looking:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._look_for_ever, fitting)
                if self._source.results_file:
                    tasks.start_soon(self._write, ResultsFile(Path(self._source.results_file), self._source.results_max_bytes))

    def close(self) -> None:
        """Look no more, and let the camera go to whoever looks next."""
        self._looking.cancel()

    async def _look_for_ever(self, fitting: Fitting) -> None:
        while True:
            reason = await self._look_until_it_fails(fitting)
            chance = random.random()  # noqa: S311 - spreads load
            await asyncio.sleep(self._watch.failed(reason, monotonic(), chance))

    async def _look_until_it_fails(self, fitting: Fitting) -> str:
        try:
            self._feed = await Feed.start(Order(source=self._source, least=fitting.least))
            await self._look(self._feed, fitting)
        except SourceError as error:
            return str(error)
        finally:
            self._feed = None

    async def _look(self, feed: Feed, fitting: Fitting) -> NoReturn:
        try:
            deadline_s, due_s = OPEN_S, monotonic()
            while True:
                frame = await feed.look(deadline_s)
                deadline_s = patience_s(self._source.period_s)
                if frame is None:
                    self._watch.answered(monotonic())
                else:
                    self._take(frame, fitting)
                # A picture that was late puts off the next one; two at once would only be one that is dropped.
                due_s = max(due_s + self._source.period_s, monotonic())
                await asyncio.sleep(due_s - monotonic())
        finally:
            with anyio.CancelScope(shield=True):
                has_gone = await feed.end()
            while not has_gone:  # a camera that a driver holds in the kernel is nobody's; another reader would get stuck beside it
                self._watch.failed("its driver does not let its reader go", monotonic(), 0.0)
                has_gone = await feed.has_gone(OPEN_S)

    def _take(self, frame: Frame, fitting: Fitting) -> None:
        self._watch.saw(monotonic(), is_same=frame.is_same_picture(self.newest))
        self.newest = frame
        self._frames += 1
        sample = self._mirror.sample()
        answered = partial(self._answered, frame, self._frames, perf_counter(), sample)
        if self._engine.offer(partial(self._answer, frame, fitting, sample), answered):
            self._watch.dropped()

    def _answer(self, frame: Frame, fitting: Fitting, sample: Sample | None) -> Arrays:
        answer = self._model.answer if sample is None else sample.answer
        return answer(fitting.raw(frame), 1, with_results=True)

    def _answered(self, frame: Frame, number: int, began_s: float, sample: Sample | None, outputs: Arrays | FieldfareError) -> None:
        latency_s = perf_counter() - began_s
        if isinstance(outputs, FieldfareError):
            self._statistics.record_error(latency_s)
            return
        self._statistics.record_answer(latency_s, self._model.winners(outputs, 1))
        manifest = self._model.manifest
        result = Result(
            model_name=manifest.name,
            model_version=str(manifest.release),
            frame=number,
            taken_at=frame.taken_at,
            latency_ms=latency_s * 1000,
            **told_of(self._model, outputs),
        )
        self.latest.show(result)
        if self._source.results_file and not self._lines.full():
            self._lines.put_nowait(result.model_dump_json(exclude_none=True).encode())
        if sample is not None:
            self._mirror.show(sample, outputs)

    async def _write(self, file: ResultsFile) -> None:
        while True:
            line = await self._lines.get()
            try:
                await anyio.to_thread.run_sync(file.append, line)
            except OSError as error:
                self._watch.trouble = f"results are not written: {self._source.results_file}: {error.strerror}"
            else:
                self._watch.trouble = ""
