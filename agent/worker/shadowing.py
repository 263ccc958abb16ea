"""Runs this worker's model beside the live one: takes live answers, gives its own, compares, and keeps to its budget."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from time import monotonic, perf_counter, process_time

import anyio

from agent.runtimes.port import Arrays
from agent.worker.comparison import Answer, Reader, agree
from agent.worker.engine import Engine
from agent.worker.errors import ShadowStreamError
from agent.worker.model import Model
from agent.worker.shadow_stream import Head, listening_at, read_frame
from agent.worker_link import Compared
from contracts.bundle import MANIFEST
from contracts.errors import FieldfareError
from contracts.manifest import MAX_MANIFEST_BYTES, decode_manifest
from contracts.shadow import ShadowPart
from contracts.sketches import Sketch, bin_of
from contracts.small_files import read_bounded

# One live answer is read while another is computed; the kernel holds the rest.
READ_AHEAD_BYTES = 16 * 1024
# While it is too hot it looks so often whether it still is.
REST_S = 0.25


class Shadowing:
    """The candidate's end of the stream of live answers."""

    def __init__(self, model: Model, engine: Engine, socket: str, max_cpu_share: float) -> None:
        """Listen at `socket` once `run` runs; take at most `max_cpu_share` of a core."""
        self.is_resting = False
        self._model = model
        self._engine = engine
        self._socket = socket
        self._max_cpu_share = max_cpu_share
        self._tally = Tally(model.manifest.sha256)
        self._mine = Reader(model.manifest, model.artifact)
        # Who speaks; a live worker that was replaced by another one has nothing more to say.
        self._talk: asyncio.Task[None] | None = None

    async def run(self, window_s: float, tell: Callable[[Compared], Awaitable[None]]) -> None:
        """Answer what comes, and tell how it compares for each window in which anything did, until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._listen)
            while True:
                await asyncio.sleep(window_s)
                part = self._tally.take()
                if part is not None:
                    await tell(Compared(part=part))

    async def _listen(self) -> None:
        server = await asyncio.start_unix_server(self._welcome, sock=listening_at(self._socket), limit=READ_AHEAD_BYTES)
        async with server:
            await server.serve_forever()

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        before, self._talk = self._talk, asyncio.current_task()
        if before is not None:
            before.cancel()
        with suppress(asyncio.CancelledError):
            try:
                await self._follow(reader)
            except ShadowStreamError:
                self._tally.errors += 1
            finally:
                writer.close()

    async def _follow(self, reader: asyncio.StreamReader) -> None:
        while True:
            await self._keep_cool()
            frame = await read_frame(reader)
            if frame is None:
                return
            used_s, began_s = process_time(), monotonic()
            await self._answer(*frame)
            await self._keep_to_budget(process_time() - used_s, began_s)

    async def _answer(self, head: Head, inputs: Arrays, outputs: Arrays) -> None:
        self._tally.dropped += head.dropped
        try:
            seconds, pairs = await self._engine.run(lambda: self._compare(head, inputs, outputs))
        except FieldfareError:
            self._tally.errors += head.count
        else:
            self._tally.note(head, seconds, pairs)

    def _compare(self, head: Head, inputs: Arrays, outputs: Arrays) -> tuple[float, list[tuple[Answer, Answer]]]:
        """Answer in the engine's thread; return how long the model took, and each sample's live and own answer."""
        live = _live_reader(head.release_dir, head.target)
        asked = self._asked(inputs)
        began_s = perf_counter()
        mine = self._model.infer(asked, head.count)
        seconds = perf_counter() - began_s
        raw_shape = next(iter(asked.values())).shape
        try:
            theirs = live.read(raw_shape, outputs, head.count)
        except (KeyError, ValueError) as error:
            raise ShadowStreamError("the outputs of the live release's manifest", repr(error)) from error
        return seconds, list(zip(theirs, self._mine.read(raw_shape, mine, head.count), strict=True))

    def _asked(self, inputs: Arrays) -> Arrays:
        """Return the candidate's own inputs; raise ShadowStreamError where it takes others than the live release does."""
        wanted = self._model.manifest.inputs
        free = self._model.image_inputs
        for spec in wanted:
            given = inputs.get(spec.name)
            if given is None or (spec.name not in free and not spec.accepts_shape((spec.shape[0], *given.shape[1:]))):
                found = "none" if given is None else str(list(given.shape))
                raise ShadowStreamError(f"an input {spec.name} of shape {list(spec.shape)}", found)
        return {spec.name: inputs[spec.name] for spec in wanted}

    async def _keep_cool(self) -> None:
        while self.is_resting:
            await asyncio.sleep(REST_S)
            self._tally.paused_s += REST_S

    async def _keep_to_budget(self, cpu_s: float, began_s: float) -> None:
        """Wait until what was just used is the share of the time that it may be."""
        rest_s = began_s + cpu_s / self._max_cpu_share - monotonic()
        if rest_s > 0:
            await asyncio.sleep(rest_s)
            self._tally.paused_s += rest_s


class Tally:
    """What adds up between two parts."""

    def __init__(self, manifest_sha256: str) -> None:
        self._manifest_sha256 = manifest_sha256
        self._open()

    def _open(self) -> None:
        self.errors = self.dropped = 0
        self.paused_s = 0.0
        self._compared = self._agreed = self._scored = 0
        self._shift = self._squares = 0.0
        self._latencies: Counter[int] = Counter()
        self._live_latencies: Counter[int] = Counter()

    def note(self, head: Head, seconds: float, pairs: list[tuple[Answer, Answer]]) -> None:
        """Count one frame: how long both models took, and what each said of every sample."""
        self._latencies[bin_of(1000 * seconds)] += 1
        self._live_latencies[bin_of(1000 * head.seconds)] += 1
        for live, mine in pairs:
            self._compared += 1
            self._agreed += agree(live, mine)
            if live.score is not None and mine.score is not None:
                shift = mine.score - live.score
                self._scored += 1
                self._shift += shift
                self._squares += shift * shift

    def take(self) -> ShadowPart | None:
        """Close what was counted, and begin anew; None where there is nothing."""
        if not (self._compared or self.errors or self.dropped or self.paused_s):
            return None
        part = ShadowPart(
            manifest_sha256=self._manifest_sha256,
            compared=self._compared,
            agreed=self._agreed,
            errors=self.errors,
            dropped=self.dropped,
            paused_s=self.paused_s,
            scored=self._scored,
            shift=self._shift,
            shift_squares=self._squares,
            latencies=Sketch.of(self._latencies),
            live_latencies=Sketch.of(self._live_latencies),
        )
        self._open()
        return part


@lru_cache(maxsize=2)
def _live_reader(release_dir: str, target: str) -> Reader:
    """Read how the live release's outputs are to be understood; raise a ContractError, or ShadowStreamError."""
    file = Path(release_dir) / MANIFEST
    manifest = decode_manifest(read_bounded(file, MAX_MANIFEST_BYTES), str(file))
    if target not in manifest.artifacts:
        raise ShadowStreamError(f"an artifact for {target} in {file}", ", ".join(manifest.artifacts))
    return Reader(manifest, manifest.artifacts[target])
