"""A stand-in worker: speaks agent/worker_link and HTTP without any runtime, and misbehaves for the releases it is told to.

    python -m tests.sim.worker '{"2": "golden"}' '<WorkerSetup>'

Behaviours by release counter: `golden` fails the golden set, `failed` cannot load, `crash` dies once it serves, `hang` falls silent then.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from datetime import datetime, timezone
from pathlib import Path

from agent.worker_link import CONTROL_LINE, Failed, Line, Pulse, Ready, Serve, Serving, Window, WorkerSetup
from contracts.manifest import decode_manifest
from contracts.messages import InferenceWindow, Latency, ReleaseRef

PULSE_S = 0.1


class StandIn:
    """One worker."""

    def __init__(self, behaviours: dict[str, str], setup: WorkerSetup) -> None:
        """Read which release this is."""
        manifest = decode_manifest((Path(setup.release_dir) / "manifest.json").read_bytes())
        self.setup = setup
        self.release = ReleaseRef(model=manifest.name, release=manifest.release, manifest_sha256=manifest.sha256)
        self.behaviour = behaviours.get(str(manifest.release), "good")
        self.requests = 0
        self.writer: asyncio.StreamWriter

    async def run(self) -> None:
        """Do what a worker does until the link closes or Drain comes."""
        reader, self.writer = await asyncio.open_connection(sock=socket.socket(fileno=self.setup.link_fd))
        if self.behaviour == "failed":
            await self.say(Failed(reason="the stand-in was told to fail"))
            return
        await self.say(self.ready())
        pulse = asyncio.create_task(self.pulse())
        servers: list[asyncio.Server] = []
        while raw := await reader.readline():
            line = CONTROL_LINE.validate_json(raw)
            if not isinstance(line, Serve):
                break
            servers = [await asyncio.start_server(self.answer, sock=socket.socket(fileno=fd)) for fd in self.setup.listen_fds]
            await self.say(Serving())
            self.misbehave()
        pulse.cancel()
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

    def misbehave(self) -> None:
        """Crash or hang, if told to."""
        if self.behaviour == "crash":
            os._exit(70)
        if self.behaviour == "hang":
            import time

            time.sleep(3600)

    async def pulse(self) -> None:
        """Show signs of life, and a window now and then."""
        told = 0
        while True:
            await self.say(Pulse(requests=self.requests, errors=0, in_flight=0))
            if self.requests > told:
                await self.say(self.window(self.requests - told))
                told = self.requests
            await asyncio.sleep(PULSE_S)

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
        await reader.readuntil(b"\r\n\r\n")
        self.requests += 1
        body = str(self.release.release).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    async def say(self, line: Line) -> None:
        """Write a line to the control process."""
        self.writer.write(line.model_dump_json().encode() + b"\n")
        await self.writer.drain()


if __name__ == "__main__":
    asyncio.run(StandIn(json.loads(sys.argv[1]), WorkerSetup.model_validate_json(sys.argv[2])).run())
