"""The floor of every transfer through the broker: the fleet's line and TLS as ever, and mosquitto_sub as a device, which keeps nothing."""

from __future__ import annotations

import resource
import secrets
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.delivery_stage import MB, Program, Run, Stage, cpu_s, papers
from contracts.chunks import CHUNK_BYTES, chunk_count
from contracts.topics import of_chunk, of_own_chunk

LONGEST_S = 120.0


def broadcast(local: Stage, devices: Sequence[str], size: int) -> Run:
    """Publish about `size` bytes once, for as many subscribers as there are devices."""
    topic = of_chunk(secrets.token_hex(32), 0)
    return _run(local, [(device, topic) for device in devices], chunk_count(size))


def one_by_one(local: Stage, devices: Sequence[str], size: int) -> Run:
    """Publish about `size` bytes to each device alone."""
    digest = secrets.token_hex(32)
    return _run(local, [(device, of_own_chunk(device, digest, 0)) for device in devices], chunk_count(size))


def _run(local: Stage, listeners: Sequence[tuple[str, str]], chunks: int) -> Run:
    with tempfile.TemporaryDirectory(dir=local.folder) as name, ExitStack() as stack:
        heard = [Path(name) / str(number) for number in range(len(listeners))]
        subscribers = [
            stack.enter_context(_subscriber(local, device, topic, chunks, file))
            for (device, topic), file in zip(listeners, heard, strict=True)
        ]
        for file in heard:
            _wait_for_subscription(file)
        topics = sorted({topic for _, topic in listeners})
        order = {**papers(), "host": "127.0.0.1", "port": local.mqtt_port, "topics": topics, "chunks": chunks}
        publisher = Program("benchmarks.peers.publisher", order)
        began_s, began_cpu_s = time.monotonic(), cpu_s(local.broker)
        devices_began_cpu_s = _ended_cpu_s() + sum(_running_cpu_s(process) for process in subscribers)
        publisher.go()
        for process in subscribers:
            assert process.wait(LONGEST_S) == 0, f"mosquitto_sub failed: {process.args!r}"
        took_s, took_cpu_s = time.monotonic() - began_s, cpu_s(local.broker) - began_cpu_s
        devices_took_cpu_s = _ended_cpu_s() - devices_began_cpu_s
        publisher.result()
    size = len(listeners) * chunks * CHUNK_BYTES
    return Run(size / took_s, took_cpu_s / size * MB, devices_took_cpu_s / size * MB)


@contextmanager
def _subscriber(local: Stage, device: str, topic: str, chunks: int, output: Path) -> Iterator[subprocess.Popen[bytes]]:
    identity = papers()["identities"][device]
    address = ("-h", "127.0.0.1", "-p", str(local.mqtt_port), "-V", "5", "-t", topic, "-q", "1")
    tls = ("--cafile", papers()["authority"], "--cert", identity, "--key", identity)
    with output.open("wb") as stream:
        # Into a file it would say only at its end that it has begun.
        command = ["stdbuf", "-oL", "mosquitto_sub", *address, *tls, "-C", str(chunks), "-F", "%t", "-d"]
        process = subprocess.Popen(command, stdout=stream)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _wait_for_subscription(output: Path) -> None:
    until_s = time.monotonic() + LONGEST_S
    while b"Subscribed" not in output.read_bytes():
        assert time.monotonic() < until_s, "mosquitto_sub did not begin"
        time.sleep(0.01)


def _running_cpu_s(process: subprocess.Popen[bytes]) -> float:
    """Return what a process of one thread took so far, to the nanosecond: it begins with a handshake, which is no part of a transfer."""
    return int(Path(f"/proc/{process.pid}/schedstat").read_text().split()[0]) / 1e9


def _ended_cpu_s() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime
