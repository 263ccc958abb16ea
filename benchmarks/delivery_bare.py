"""The floor of every transfer through the broker: mosquitto's own clients in C over the same TLS, which check nothing and keep nothing."""

from __future__ import annotations

import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.delivery_stage import DEVICES, MB, Run, Stage, cpu_s, papers
from contracts.chunks import CHUNK_BYTES, chunk_count
from contracts.topics import of_chunk, of_own_chunk

LONGEST_S = 120.0
# Each sends a chunk and waits until it was taken.
PUBLISHERS = 8


def broadcast(local: Stage, devices: Sequence[str], size: int) -> Run:
    """Publish about `size` bytes once, for as many subscribers as there are devices."""
    topic = of_chunk(secrets.token_hex(32), 0)
    each = chunk_count(size) // PUBLISHERS
    return _run(local, [topic] * PUBLISHERS, [(device, topic) for device in devices], (each, PUBLISHERS * each))


def one_by_one(local: Stage, size: int) -> Run:
    """Publish about `size` bytes to each device alone, all at a time."""
    digest = secrets.token_hex(32)
    topics = [of_own_chunk(device, digest, 0) for device in DEVICES]
    return _run(local, topics, list(zip(DEVICES, topics, strict=True)), (chunk_count(size), chunk_count(size)))


def _run(local: Stage, topics: Sequence[str], listeners: Sequence[tuple[str, str]], chunks: tuple[int, int]) -> Run:
    """Let a publisher for each of `topics` say, and each listener hear, so many `chunks`."""
    said, expected = chunks
    with tempfile.TemporaryDirectory(dir=local.folder) as name, ExitStack() as stack:
        folder = Path(name)
        chunk = folder / "chunk"
        chunk.write_bytes(os.urandom(CHUNK_BYTES))
        hear = ("-C", str(expected), "-q", "1", "-F", "%t", "-d")
        heard = [folder / str(number) for number in range(len(listeners))]
        subscribers = [
            stack.enter_context(_client("mosquitto_sub", local, papers()["identities"][device], file, ("-t", topic, *hear)))
            for (device, topic), file in zip(listeners, heard, strict=True)
        ]
        for file in heard:
            _wait_for_subscription(file)
        began_s, began_cpu_s = time.monotonic(), cpu_s(local.broker)
        say = ("-f", str(chunk), "-q", "1", "--repeat", str(said))
        publishers = [
            stack.enter_context(_client("mosquitto_pub", local, papers()["own"], folder / "said", ("-t", topic, *say))) for topic in topics
        ]
        for process in (*publishers, *subscribers):
            assert process.wait(LONGEST_S) == 0, f"a client of mosquitto's own failed: {process.args!r}"
        took_s, took_cpu_s = time.monotonic() - began_s, cpu_s(local.broker) - began_cpu_s
    size = len(listeners) * expected * CHUNK_BYTES
    return Run(size / took_s, took_cpu_s / size * MB)


@contextmanager
def _client(program: str, local: Stage, identity: str, output: Path, arguments: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    address = ("-h", "127.0.0.1", "-p", str(local.mqtt_port), "-V", "5")
    tls = ("--cafile", papers()["authority"], "--cert", identity, "--key", identity)
    with output.open("wb") as stream:
        # Into a file they would say only at their end that they have begun.
        process = subprocess.Popen(["stdbuf", "-oL", program, *address, *tls, *arguments], stdout=stream)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _wait_for_subscription(output: Path) -> None:
    until_s = time.monotonic() + LONGEST_S
    while b"Subscribed" not in output.read_bytes():
        assert time.monotonic() < until_s, "a subscriber of mosquitto's own did not begin"
        time.sleep(0.01)
