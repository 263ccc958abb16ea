"""Lets a candidate in shadow see a share of what this worker answers, and never waits for it: what it does not take is lost."""

from __future__ import annotations

import asyncio
import random
import socket
from time import monotonic, perf_counter

from agent.runtimes.port import Arrays
from agent.worker.model import Model
from agent.worker.shadow_stream import MAX_BODY_BYTES, Head, framed, shapes_of, short_path

# A candidate that is being started again is looked for so often.
RECONNECT_S = 1.0
CONNECT_S = 5.0
WAITING_BYTES = 32 * 1024


class Sample:
    """One live answer that the candidate shall give as well."""

    def __init__(self, model: Model) -> None:
        """Nothing is answered yet."""
        self.inputs: Arrays = {}
        self.count = 0
        self.seconds = 0.0
        self._model = model

    def answer(self, samples: Arrays, count: int, *, with_results: bool) -> Arrays:
        """Answer as the model does, in the engine's thread, and keep what it was asked and how long it took."""
        began_s = perf_counter()
        outputs = self._model.answer(samples, count, with_results=with_results)
        self.inputs, self.count, self.seconds = samples, count, perf_counter() - began_s
        return outputs


class Mirror:
    """The live worker's end; all of it happens in the loop."""

    def __init__(self, model: Model, release_dir: str, target: str) -> None:
        """Show nothing before `point`."""
        self._model = model
        self._release_dir = release_dir
        self._target = target
        self._path = ""
        self._share = 0.0
        self._dropped = 0
        self._transport: asyncio.WriteTransport | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._tried_s = -RECONNECT_S

    def point(self, path: str, share: float) -> None:
        """Show this share of all answers to whoever listens there; nothing any more when it is nobody."""
        if path != self._path:
            self.close()
        self._path, self._share = path, share
        if path:
            self._reconnect()

    def close(self) -> None:
        """Show nothing any more."""
        self._path, self._share, self._dropped = "", 0.0, 0
        if self._connecting is not None:
            self._connecting.cancel()
        if self._transport is not None:
            self._transport.abort()
        self._transport = self._connecting = None

    def sample(self) -> Sample | None:
        """Return what to answer by when the candidate shall see this one."""
        if not self._path or random.random() >= self._share:  # noqa: S311 - a sample of the inputs
            return None
        if self._transport is None or self._transport.is_closing():
            self._reconnect()
            self._dropped += 1
            return None
        if self._transport.get_write_buffer_size():
            self._dropped += 1
            return None
        return Sample(self._model)

    def show(self, sample: Sample, outputs: Arrays) -> None:
        """Show an answer that was given; what is still on its way leaves no room for another."""
        transport = self._transport
        if transport is None or transport.is_closing() or transport.get_write_buffer_size():
            self._dropped += 1
            return
        given = {spec.name: outputs[spec.name] for spec in self._model.artifact.outputs}
        if sum(values.nbytes for values in (*sample.inputs.values(), *given.values())) > MAX_BODY_BYTES:
            self._dropped += 1
            return
        head = Head(
            release_dir=self._release_dir,
            target=self._target,
            count=sample.count,
            seconds=sample.seconds,
            dropped=self._dropped,
            inputs=shapes_of(sample.inputs),
            outputs=shapes_of(given),
        )
        self._dropped = 0
        transport.write(framed(head, [*sample.inputs.values(), *given.values()]))

    def _reconnect(self) -> None:
        is_due = monotonic() - self._tried_s >= RECONNECT_S
        if is_due and (self._connecting is None or self._connecting.done()):
            self._tried_s = monotonic()
            self._connecting = asyncio.get_running_loop().create_task(self._connect(self._path), name="mirror")

    async def _connect(self, path: str) -> None:
        own = socket.socket(socket.AF_UNIX)
        own.setblocking(False)
        # What lies there is old when it is read: a few answers are enough.
        own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, WAITING_BYTES)
        loop = asyncio.get_running_loop()
        try:
            with short_path(path) as short:
                await asyncio.wait_for(loop.sock_connect(own, short), CONNECT_S)
            transport, _ = await loop.create_unix_connection(asyncio.Protocol, sock=own)
        except (OSError, asyncio.TimeoutError):
            own.close()
            return  # it is looked for again at a later answer
        except asyncio.CancelledError:
            own.close()
            raise
        # One answer is on its way at a time.
        transport.set_write_buffer_limits(high=0)
        self._transport = transport
