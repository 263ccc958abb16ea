"""A stand-in worker: speaks agent/worker_link and HTTP without any runtime, and misbehaves for the releases it is told to.

    python -m tests.sim.worker '{"2": "golden"}' '<WorkerSetup>'

Behaviours by release counter: `golden` fails the golden set, `failed` cannot load, `deaf` never reads. Once it serves, `unproven` fails
the golden set, `crash` dies, `hang` falls silent, `stuck` has an inference without end, `garbage` writes no line, `half` ends none,
`long` writes one that is too long, `flood` writes without end, `errors` answers every request by one, `fat` takes more memory than it
may, `heavy` far more than that, `blind` has no picture to show, `doodle` one that is no JPEG. In shadow, `shy` dies.
A behaviour of several words is lived through one after the other, one by each worker, and the last for ever: `crash crash good`.
`wild` is any of them, some time after it began to serve, while there is a file of this name beside the token.
A model that is named as `real` is served by the real worker.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import sys
import time
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from agent.leash import leash
from agent.worker.bounds import bind, resident_bytes
from agent.worker.main import main
from agent.worker_link import (
    CONTROL_LINE,
    MAX_LINE_BYTES,
    Drain,
    Failed,
    Line,
    Prove,
    Proven,
    Pulse,
    Ready,
    Serve,
    Serving,
    Shadow,
    Snapshot,
    SnapshotTaken,
    Window,
    WorkerSetup,
)
from contracts.manifest import decode_manifest
from contracts.messages import InferenceWindow, Latency, ReleaseRef

PULSE_S = 0.1
# With less no Python starts.
LEAST_BYTES = 8 << 20
# Who was accepted just before a drain has begun to ask by then.
FAREWELL_S = 0.2
# What it says that it takes; agents that are tested with it allow 100 MiB.
USUAL_BYTES, FAT_BYTES, HEAVY_BYTES = 32 << 20, 120 << 20, 200 << 20
# What it really takes where it grows in earnest.
GROWTH_BYTES = 400 << 20
WILD = ("crash", "hang", "stuck", "garbage", "long", "half", "flood", "grow")


class StandIn:
    """One worker."""

    def __init__(self, behaviours: dict[str, str], setup: WorkerSetup) -> None:
        """Read which release this is."""
        manifest = decode_manifest((Path(setup.release_dir) / "manifest.json").read_bytes())
        self.setup = setup
        self.release = ReleaseRef(model=manifest.name, release=manifest.release, manifest_sha256=manifest.sha256)
        turns = behaviours.get(str(manifest.release), "good").split()
        self.behaviour = turn(Path(setup.token_file).parent, setup.model, manifest.release, turns)
        self.requests = self.errors = 0
        self.is_misbehaving = False
        self.hoard = bytearray()
        self.answers: set[asyncio.Task[None]] = set()
        self.writer: asyncio.StreamWriter

    async def run(self) -> None:
        """Do what a worker does until the link closes or Drain comes."""
        reader, self.writer = await asyncio.open_connection(sock=socket.socket(fileno=self.setup.link_fd))
        if self.behaviour == "failed":
            await self.say(Failed(reason="the stand-in was told to fail"))
            return
        await self.say(self.ready())
        pulse = asyncio.create_task(self.pulse())
        if self.behaviour == "deaf":
            await asyncio.sleep(3600)
        wildness = pulse
        servers: list[asyncio.Server] = []
        while raw := await reader.readline():
            match CONTROL_LINE.validate_json(raw):
                case Drain():
                    break
                case Prove() | Snapshot() | Shadow() as order:
                    await self.obey(order)
                case Serve():
                    servers = [await asyncio.start_server(self.answer, sock=socket.socket(fileno=fd)) for fd in self.setup.listen_fds]
                    await self.say(Serving())
                    await self.misbehave()
                    if self.behaviour == "wild":
                        wildness = asyncio.create_task(self.run_wild(), name="wildness")
        for task in (pulse, wildness):
            task.cancel()
        await self.take_leave(servers)

    async def obey(self, order: Prove | Snapshot | Shadow) -> None:
        """Do what is asked beside serving."""
        match order:
            case Prove():
                passed = self.behaviour != "unproven"
                await self.say(Proven(passed=passed, reason="" if passed else "the stand-in was told to fail"))
            case Snapshot(id=number, file=file):
                await self.say(self.take_picture(number, Path(file)))
            case Shadow() if self.behaviour == "shy":
                os._exit(70)

    async def take_leave(self, servers: list[asyncio.Server]) -> None:
        """Answer whoever was accepted; a server that is closed at once would drop the newest of them."""
        for listening in (listening for server in servers for listening in server.sockets):
            asyncio.get_running_loop().remove_reader(listening.fileno())
        await asyncio.sleep(FAREWELL_S)
        await asyncio.gather(*self.answers, return_exceptions=True)
        for server in servers:
            server.close()

    def ready(self) -> Ready:
        """Return the golden test's result."""
        return Ready(
            runtime="stand-in",
            runtime_version="1",
            provider="none",
            preferred_provider="none",
            load_s=0.0,
            golden_passed=self.behaviour != "golden",
            golden_samples=1,
            golden_error=0.5 if self.behaviour == "golden" else 0.0,
            golden_tolerance=0.1,
        )

    def take_picture(self, number: str, file: Path) -> SnapshotTaken:
        """Put down what passes for a JPEG, or what does not."""
        if self.behaviour == "blind":
            return SnapshotTaken(id=number, reason="the stand-in was told to see nothing")
        file.write_bytes((b"\xff\xd8\xff" if self.behaviour != "doodle" else b"GIF89a") + b"a picture of release %d" % self.release.release)
        return SnapshotTaken(id=number, file=str(file))

    async def misbehave(self) -> None:
        """Do what it was told to."""
        self.is_misbehaving = True
        match self.behaviour:
            case "crash":
                os._exit(70)
            case "hang":
                hang()
            case "garbage":
                self.writer.write(b"\x00 this is no line of the link\n")
            case "long":
                self.writer.write(b" " * 3 * MAX_LINE_BYTES)
            case "half":
                self.writer.write(b'{"kind": "pul')
                await asyncio.sleep(3600)
            case "flood":
                while True:
                    await self.say(self.sign_of_life())

    async def run_wild(self) -> None:
        """Turn bad at some time."""
        chance = random.Random(os.getpid())
        while not (Path(self.setup.token_file).parent / "wild").exists():  # noqa: ASYNC110 - a file sets no event
            await asyncio.sleep(PULSE_S)
        await asyncio.sleep(chance.uniform(0.1, 1))
        self.behaviour = chance.choice(WILD)
        if self.behaviour == "grow":
            self.hoard = bytearray(b"x") * GROWTH_BYTES
        await self.misbehave()

    async def pulse(self) -> None:
        """Show signs of life, and a window now and then."""
        told = 0
        while True:
            if self.behaviour != "half":
                await self.say(self.sign_of_life())
            if self.requests > told:
                await self.say(self.window(self.requests - told))
                told = self.requests
            await asyncio.sleep(PULSE_S)

    def sign_of_life(self) -> Pulse:
        """Return a pulse."""
        behaviour = self.behaviour if self.is_misbehaving else "good"
        rss_bytes = {"fat": FAT_BYTES, "heavy": HEAVY_BYTES, "grow": resident_bytes()}.get(behaviour, USUAL_BYTES)
        age_s = 3600.0 if behaviour == "stuck" else 0.0
        return Pulse(requests=self.requests, errors=self.errors, in_flight=0, inference_age_s=age_s, rss_bytes=rss_bytes)

    def window(self, requests: int) -> Window:
        """Return statistics of some requests."""
        now = datetime.now(timezone.utc)
        latency = Latency(mean=1, p50=1, p95=1, p99=1, max=1)
        fields = InferenceWindow(
            session="0" * 16,
            sequence=0,
            sent_at=now,
            release=self.release,
            started_at=now,
            window_s=PULSE_S,
            requests=requests,
            errors=0,
            latency_ms=latency,
        )
        return Window(window=fields)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer any request with the release that serves."""
        task = asyncio.current_task()
        assert task is not None
        self.answers.add(task)
        task.add_done_callback(self.answers.discard)
        await reader.readuntil(b"\r\n\r\n")
        self.requests += 1
        status = "200 OK"
        if self.behaviour == "errors":
            self.errors += 1
            status = "500 Internal Server Error"
        body = str(self.release.release).encode()
        writer.write(b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body))
        await writer.drain()
        writer.close()

    async def say(self, line: Line) -> None:
        """Write a line to the control process."""
        self.writer.write(line.model_dump_json().encode() + b"\n")
        await self.writer.drain()


def hang() -> None:
    """Keep the loop from turning."""
    time.sleep(3600)


def turn(folder: Path, model: str, release: int, behaviours: list[str]) -> str:
    """Return what the next worker of a release does."""
    file = folder / f"turns-{model}-{release}"
    turns = int(file.read_text()) if file.exists() else 0
    file.write_text(str(turns + 1))
    return behaviours[min(turns, len(behaviours) - 1)]


if __name__ == "__main__":
    leash()
    told, setup = json.loads(sys.argv[1]), WorkerSetup.model_validate_json(sys.argv[2])
    if told.get("real") == setup.model:
        main(sys.argv[2:])
    if setup.data_bytes is not None and setup.data_bytes < LEAST_BYTES:
        sys.exit("no memory")  # where the kernel refuses it first, and what Python says of that, is another place each time
    bind(setup.data_bytes)
    with suppress(ConnectionError):  # the agent was killed before this process was tied to it
        asyncio.run(StandIn(told, setup).run())
