"""A link with a round trip of 100 ms in user space: two TUN devices, one in a network namespace of a thread's own. Needs root."""

from __future__ import annotations

import ctypes
import fcntl
import os
import queue
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

HERE, THERE = "10.213.77.1", "10.213.77.2"
# Large, so that Python forwards few of them.
MTU = 16000
_CLONE_NEWNET = 0x40000000
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000


class Namespace:
    """A thread that lives in a network namespace of its own; what it starts lives there too."""

    def __init__(self) -> None:
        """Start the thread."""
        self._work: queue.Queue[tuple[Callable[[], object], queue.Queue[object]] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self.call(lambda: _check(ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET)))

    def call(self, work: Callable[[], object]) -> object:
        """Run something there."""
        answer: queue.Queue[object] = queue.Queue()
        self._work.put((work, answer))
        found = answer.get(timeout=30)
        if isinstance(found, BaseException):
            raise found
        return found

    def close(self) -> None:
        """End the thread."""
        self._work.put(None)
        self._thread.join(10)

    def _run(self) -> None:
        while (order := self._work.get()) is not None:
            work, answer = order
            try:
                answer.put(work())
            except (OSError, subprocess.SubprocessError) as error:
                answer.put(error)


@contextmanager
def delayed(one_way_s: float) -> Iterator[Namespace]:
    """Join this namespace (address HERE) to another (THERE); every packet takes `one_way_s` in either direction."""
    namespace = Namespace()
    here = _tun("ffdelay", HERE)
    there = namespace.call(lambda: _tun("ffdelay", THERE))
    assert isinstance(there, int)
    stop = threading.Event()
    for source, target in ((here, there), (there, here)):
        waiting: queue.Queue[tuple[float, bytes]] = queue.Queue(100_000)
        threading.Thread(target=_read, args=(source, waiting, one_way_s, stop), daemon=True).start()
        threading.Thread(target=_write, args=(target, waiting, stop), daemon=True).start()
    try:
        yield namespace
    finally:
        stop.set()
        namespace.close()
        os.close(here)
        os.close(there)


def _tun(name: str, address: str) -> int:
    descriptor = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH14x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    # A new namespace's own loopback is down, and paho wakes its thread over it.
    for arguments in (
        ("link", "set", "lo", "up"),
        ("addr", "add", f"{address}/30", "dev", name),
        ("link", "set", name, "mtu", str(MTU), "txqueuelen", "10000", "up"),
    ):
        subprocess.run(["ip", *arguments], check=True, timeout=10)
    return descriptor


def _read(source: int, waiting: queue.Queue[tuple[float, bytes]], delay_s: float, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            packet = os.read(source, MTU + 100)
        except OSError:
            return
        waiting.put((time.monotonic() + delay_s, packet))


def _write(target: int, waiting: queue.Queue[tuple[float, bytes]], stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            due_s, packet = waiting.get(timeout=0.5)
        except queue.Empty:
            continue
        time.sleep(max(0.0, due_s - time.monotonic()))
        try:
            os.write(target, packet)
        except OSError:
            return


def _check(status: int) -> None:
    if status != 0:
        raise OSError(ctypes.get_errno(), "unshare")
