"""Devices that send windows as fast as they are acknowledged, from one process; it reads an order, and then when to begin and to end.

A device does what the agent does when it loses its link: it sends again what is not acknowledged, and what was within `REPEAT_S`.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from collections import deque
from datetime import datetime, timezone

from contracts import codec, mqtt
from contracts.messages import REPEAT_S, InferenceWindow, ReleaseRef, latency_of
from contracts.sketches import Sketch
from contracts.topics import of_device

PUBACK_BYTES = 4
WINDOW = 64
KNOCK_AGAIN_S = 0.1
LONGEST_S = 240.0


def windows(device: str, count: int) -> list[bytes]:
    """Return whole packets, numbered from 1."""
    now = datetime.now(timezone.utc)
    sketch = Sketch.of({400 + bin_: 3 for bin_ in range(20)})
    release = ReleaseRef(model="digits", release=2, manifest_sha256="2" * 64)
    window = InferenceWindow(
        session="a" * 16, sequence=7_777_777, sent_at=now, release=release, started_at=now, window_s=10, requests=60, errors=1,
        latency_ms=latency_of(sketch, 1.5, 2.5), classes={str(label): 6 for label in range(10)}, provider="cpu", latencies=sketch,
        ordinal=7_777_777,
    )  # fmt: skip
    text = codec.encode(window)
    packets = []
    for number in range(1, count + 1):
        payload = text.replace(b"7777777", b"%d" % number)
        head = mqtt.publish(of_device(device, "inference"), len(payload), (number - 1) % mqtt.MAX_PACKET_ID + 1)
        packets.append(head + payload)
    return packets


class Talker:
    """One device, and how far it is."""

    def __init__(self, door: str, device: str, count: int) -> None:
        """It is not connected yet."""
        self.door, self.device = door, device
        self.packets = windows(device, count)
        self.sent = self.acknowledged = 0
        self.repeated = 0
        # When how many were acknowledged, for as long as that may have to be said again.
        self.history = deque([(0.0, 0)])
        self.wire: socket.socket | None = None
        self.early = b""

    def connect(self) -> None:
        """Connect and say again what may be lost; raise OSError."""
        wire = socket.socket(socket.AF_UNIX)
        wire.settimeout(5)
        wire.connect(self.door)
        wire.sendall(mqtt.connect(mqtt.Hello(f"sim-{self.device}", 600, 16, 65536, self.device)))
        welcome = wire.recv(2)
        if len(welcome) < 2 or len(wire.recv(welcome[1])) < welcome[1]:
            raise ConnectionResetError("no welcome")
        wire.setblocking(False)
        again = self.history[0][1]
        self.repeated += self.acknowledged - again
        self.sent = self.acknowledged = again
        self.wire = wire

    def push(self) -> None:
        """Send as many as may be under way; raise OSError."""
        assert self.wire is not None
        last = min(self.acknowledged + WINDOW, len(self.packets))
        if last == self.sent or (last - self.sent < WINDOW // 4 and last < len(self.packets)):
            return
        raw = b"".join(self.packets[self.sent : last])
        self.wire.settimeout(5)
        self.wire.sendall(raw)
        self.wire.setblocking(False)
        self.sent = last

    def hear(self) -> None:
        """Take acknowledgements; raise OSError."""
        assert self.wire is not None
        raw = self.early + self.wire.recv(65536)
        if len(raw) == len(self.early):
            raise ConnectionResetError("the broker hung up")
        whole = len(raw) // PUBACK_BYTES
        self.early = raw[whole * PUBACK_BYTES :]
        assert raw[0] == 0x40
        assert raw[1] == 0x02
        self.acknowledged += whole
        self.history.append((time.monotonic(), self.acknowledged))

    def lose(self) -> None:
        """Go back to where it knocks."""
        if self.wire is not None:
            self.wire.close()
            since_s = time.monotonic() - REPEAT_S
            while len(self.history) > 1 and self.history[1][0] < since_s:
                self.history.popleft()
        self.wire, self.early = None, b""


def main() -> None:
    """Read an order, say `ready`, wait for a line, send and stay connected until the next, and say what it came to."""
    order = json.loads(sys.stdin.readline())
    talkers = [Talker(order["door"], device, order["count"]) for device in order["devices"]]
    for talker in talkers:
        talker.connect()
    say("ready")
    sys.stdin.readline()
    began_s, began_cpu_s = time.time(), time.process_time()
    Talk(talkers).run(time.monotonic() + LONGEST_S)
    cpu_s = time.process_time() - began_cpu_s
    say(json.dumps({"began_s": began_s, "cpu_s": cpu_s, "repeated": sum(talker.repeated for talker in talkers)}))


class Talk:
    """All devices' connections."""

    def __init__(self, talkers: list[Talker]) -> None:
        """They are connected."""
        self._talkers = talkers
        self._poll = select.epoll()
        self._by_fd: dict[int, Talker] = {}
        for talker in talkers:
            self._begin(talker)

    def run(self, until_s: float) -> None:
        """Send everything, again where a link is lost, until there is a line of input."""
        self._poll.register(sys.stdin, select.EPOLLIN)
        while True:
            assert time.monotonic() < until_s, "it takes too long"
            for fd, _ in self._poll.poll(1.0):
                if fd == sys.stdin.fileno():
                    return
                talker = self._by_fd[fd]
                try:
                    talker.hear()
                    talker.push()
                except OSError:
                    del self._by_fd[fd]
                    talker.lose()
            for talker in self._talkers:
                if talker.wire is None:
                    self._reconnect(talker)

    def _reconnect(self, talker: Talker) -> None:
        try:
            talker.connect()
            self._begin(talker)
        except OSError:
            talker.lose()
            time.sleep(KNOCK_AGAIN_S)

    def _begin(self, talker: Talker) -> None:
        assert talker.wire is not None
        self._by_fd[talker.wire.fileno()] = talker
        self._poll.register(talker.wire, select.EPOLLIN)
        talker.push()


def say(line: str) -> None:
    """Tell who started us."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
