"""Callers of a model who keep to their own time: requests leave at a steady rate, whatever becomes of those before.

    python -m tests.sim.open_loop        # the order as one line of JSON on stdin; asks until stdin ends, then prints what came of it

A process of its own, so that nothing else its starter does counts as waiting.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass
from typing import NamedTuple

from tests.sim.control import ROOT

PATIENCE_S = 30.0
# One request in so many comes over a connection of its own; the others share kept ones.
FRESH_EVERY = 4
OK = 200
NO_ANSWER = 0


@dataclass(frozen=True)
class Order:
    """What to ask, and how often; `headers` and `body` go as they are."""

    port: int
    path: str
    headers: dict[str, str]
    body: str
    requests_per_s: float = 200.0


class Answer(NamedTuple):
    """When a request was due, on the system's monotonic clock; how long after that its answer was whole; its status."""

    due_s: float
    latency_s: float
    status: int


class OpenLoop:
    """The callers, as a process; `finish` must be called."""

    def __init__(self, order: Order) -> None:
        """Begin to ask."""
        command = [sys.executable, "-m", "tests.sim.open_loop"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(order)) + "\n")
        self._process.stdin.flush()

    def finish(self) -> list[Answer]:
        """Stop asking; return every answer in the order that they were due."""
        said, _ = self._process.communicate(timeout=3 * PATIENCE_S)
        return sorted(Answer(*each) for each in json.loads(said))


class Callers:
    """Every connection, and what came of every request."""

    def __init__(self, order: Order) -> None:
        self.answers: list[Answer] = []
        self._order = order
        self._kept: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = deque()
        head = [f"POST {order.path} HTTP/1.1", "Host: model", *(f"{name}: {value}" for name, value in order.headers.items())]
        self._request = "\r\n".join([*head, f"Content-Length: {len(order.body)}", "", order.body]).encode()

    async def ask_until(self, end: asyncio.Event) -> None:
        """Send each request at its time; return when all have been answered or given up."""
        asked: set[asyncio.Task[None]] = set()
        began_s, count = time.monotonic(), 0
        while not end.is_set():
            due_s = began_s + count / self._order.requests_per_s
            await asyncio.sleep(due_s - time.monotonic())
            asked.add(asyncio.create_task(self._ask(due_s, is_fresh=count % FRESH_EVERY == 0)))
            asked = {task for task in asked if not task.done()}
            count += 1
        if asked:
            await asyncio.wait(asked)

    async def _ask(self, due_s: float, *, is_fresh: bool) -> None:
        try:
            status = await asyncio.wait_for(self._exchange(is_fresh=is_fresh), PATIENCE_S)
        except (OSError, EOFError, ValueError, asyncio.TimeoutError):
            status = NO_ANSWER
        self.answers.append(Answer(due_s, time.monotonic() - due_s, status))

    async def _exchange(self, *, is_fresh: bool) -> int:
        kept = None if is_fresh or not self._kept else self._kept.popleft()
        reader, writer = kept or await asyncio.open_connection("127.0.0.1", self._order.port)
        is_kept = False
        try:
            writer.write(self._request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
            fields = dict(line.split(": ", 1) for line in head[1:] if line)
            await reader.readexactly(int(fields["content-length"]))
            is_kept = not is_fresh and fields.get("connection") != "close"
            return int(head[0].split(" ")[1])
        finally:
            if is_kept:
                self._kept.append((reader, writer))
            else:
                writer.close()


async def main() -> None:
    """Obey an order until the input ends."""
    callers, end = Callers(Order(**json.loads(sys.stdin.readline()))), asyncio.Event()
    asking = asyncio.create_task(callers.ask_until(end))
    await asyncio.to_thread(sys.stdin.read)
    end.set()
    await asking
    sys.stdout.write(json.dumps(callers.answers) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
