"""Touches the broker: thousands of connections in one thread, each a few hundred bytes of memory."""

from __future__ import annotations

import heapq
import select
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from contracts import mqtt
from contracts.errors import MalformedPacketError
from contracts.mqtt_reasons import FAILURE, Fate, fate_of
from contracts.topics import of_device
from fleet.errors.simulation import SimulationRefusedError
from fleet.simulate.device import NEVER, Device, Say
from fleet.simulate.keeping import Kept
from fleet.simulate.line import Line
from fleet.simulate.play import Play
from fleet.simulate.scenario import Faults

MAX_PACKET_BYTES = 512 * 1024
MAX_KEEPALIVE_S = 3600
RECEIVE_MAXIMUM = 16
# The broker's queue of those who knock is short.
KNOCK_AGAIN_S = 0.05
LONGEST_WAIT_S = 0.25
# What a connection holds back before it is taken for broken.
MAX_PENDING_BYTES = 1 << 20
_COUNTED = {Fate.TAKEN: "acknowledged", Fate.NOBODY: "untaken", Fate.LATER: "refused", Fate.NEVER: "refused for good"}


class Lines:
    """All of them; `run` drives them until it is told to stop."""

    def __init__(self, door: Path, play: Play, faults: Faults, random: Random, health_interval_s: float) -> None:
        """Connect to the broker's socket for simulated devices."""
        self._door = str(door)
        self._play = play
        self._faults = faults
        self._random = random
        self._keepalive_s = int(min(MAX_KEEPALIVE_S, 60 + 2 * health_interval_s))
        self._lines: list[Line] = []
        self._by_fd: dict[int, int] = {}
        self._agenda: list[tuple[float, int]] = []
        self._poll = select.epoll()
        self._spare = mqtt.Reader(MAX_PACKET_BYTES)
        # What was sent by leaf, and what became of it.
        self.counts: Counter[str] = Counter()

    @property
    def connected(self) -> int:
        """Return how many devices the broker has let in."""
        return sum(line.is_welcome for line in self._lines)

    def add(self, devices: Sequence[Device], within_s: float) -> None:
        """Let these devices connect, one after the other."""
        now_s = time.time()
        for number, device in enumerate(devices):
            self._lines.append(Line(device))
            self._agenda.append((now_s + within_s * number / max(1, len(devices)), len(self._lines) - 1))
        heapq.heapify(self._agenda)

    def run(self, until_s: float, on_pause: Callable[[], bool]) -> None:
        """Play until a time since 1970, or until `on_pause`, which is called several times a second, says that it is enough."""
        try:
            while time.time() < until_s and on_pause():
                pause_s = time.time() + LONGEST_WAIT_S
                while (now_s := time.time()) < pause_s:
                    self._keep_agenda(now_s)
                    wait_s = min(pause_s, self._agenda[0][0] if self._agenda else pause_s) - time.time()
                    for fd, _ in self._poll.poll(max(0.0, wait_s), 1024):
                        self._read(self._by_fd[fd])
        finally:
            for line in self._lines:
                if line.socket is not None:
                    line.socket.close()
            self._poll.close()

    def _keep_agenda(self, now_s: float) -> None:
        while self._agenda and self._agenda[0][0] <= now_s:
            _, index = heapq.heappop(self._agenda)
            line = self._lines[index]
            if line.socket is None and line.connect_s <= now_s:
                self._connect(index, line, now_s)
            if line.pending:
                self._write(index, line, b"")
            if line.is_welcome and line.kept is not None and line.kept.again_s <= now_s:
                self._say_again(index, line, line.kept, now_s)
            if line.is_welcome and line.device.next_s <= now_s:
                self._keep_time(index, line, now_s)

    def _keep_time(self, index: int, line: Line, now_s: float) -> None:
        if line.device.leave_s <= now_s:
            self._lose(index, line, now_s)
            return
        self._send(index, line, self._play.due(line.device, now_s))
        self._plan(index, line)

    def _plan(self, index: int, line: Line) -> None:
        if line.socket is not None and line.device.next_s < NEVER:
            heapq.heappush(self._agenda, (line.device.next_s, index))

    def _connect(self, index: int, line: Line, now_s: float) -> None:
        device = line.device
        connection = socket.socket(socket.AF_UNIX)
        connection.setblocking(False)
        try:
            connection.connect(self._door)
        except BlockingIOError:
            connection.close()
            heapq.heappush(self._agenda, (now_s + KNOCK_AGAIN_S, index))
            return
        except OSError as error:
            connection.close()
            raise SimulationRefusedError(self._door, error.strerror or repr(error)) from error
        line.socket = connection
        self._by_fd[connection.fileno()] = index
        self._poll.register(connection, select.EPOLLIN)
        self._play.boot(device, now_s)
        will = mqtt.Will(of_device(device.name, "birth"), self._play.birth(device, now_s, is_online=False).payload)
        hello = mqtt.Hello(f"sim-{device.name}", self._keepalive_s, RECEIVE_MAXIMUM, MAX_PACKET_BYTES, device.name, will)
        self._write(index, line, mqtt.connect(hello))

    def _read(self, index: int) -> None:
        line = self._lines[index]
        reader, is_in_pieces = line.reader or self._spare, line.reader is not None
        while line.socket is not None:
            try:
                count = line.socket.recv_into(reader.room())
                packet = reader.took(count) if count else None
            except BlockingIOError:
                break
            except (OSError, MalformedPacketError):
                count, packet = 0, None
            is_in_pieces = packet is None
            if not count:
                self._lose(index, line, time.time())
            elif packet is not None:
                self._hear(index, line, packet)
        self._put_back(line, reader, is_in_pieces)

    def _put_back(self, line: Line, reader: mqtt.Reader, is_in_pieces: bool) -> None:
        """Leave a reader that holds a part of a packet with its line, and no other."""
        if reader is self._spare and is_in_pieces:
            self._spare = mqtt.Reader(MAX_PACKET_BYTES)
        line.reader = reader if is_in_pieces and line.socket is not None else None

    def _hear(self, index: int, line: Line, packet: mqtt.Packet) -> None:
        now_s = time.time()
        match packet:
            case mqtt.Welcome(reason=reason) if reason < FAILURE:
                line.is_welcome = True
                self._write(index, line, mqtt.subscribe(self._next_id(line), [of_device(line.device.name, "desired")]))
                self._send(index, line, self._documents(line, now_s))
                if line.kept is not None:
                    self._say_again(index, line, line.kept, now_s)
                self._plan(index, line)
            case mqtt.Welcome(reason=reason):
                raise SimulationRefusedError(self._door, f"the broker refused {line.device.name} with reason {reason:#x}")
            case mqtt.Message(payload=payload, packet_id=packet_id):
                envelope = bytes(payload)
                if packet_id is not None:
                    self._write(index, line, mqtt.acknowledge(packet_id))
                self.counts["desired"] += 1
                self._send(index, line, self._play.hear(line.device, envelope, now_s))
                self._plan(index, line)
            case mqtt.Acknowledgement(packet_id=packet_id, reasons=reasons):
                self._settle(index, line, packet_id, max(reasons, default=0))
            case _:
                pass

    def _send(self, index: int, line: Line, said: Sequence[Say]) -> None:
        for say in said:
            fate = self._random.random()
            if line.kept is not None and line.kept.is_silent and say.qos and not say.retain:
                self.counts["given up"] += line.kept.put((say,))
            elif fate < self._faults.drop:
                self.counts["dropped"] += 1
                if say.retain:  # an agent too says what it is and runs until the broker has it
                    self._keep_report(index, line, time.time())
            elif line.held is None and fate < self._faults.drop + self._faults.reorder:
                self.counts["reordered"] += 1
                line.held = say
            else:
                self._publish(index, line, say)
                if line.held is not None:
                    late, line.held = line.held, None
                    self._publish(index, line, late)

    def _documents(self, line: Line, now_s: float) -> list[Say]:
        return [self._play.birth(line.device, now_s, is_online=True), self._play.report(line.device, now_s)]

    def _settle(self, index: int, line: Line, packet_id: int, reason: int) -> None:
        """Take note of what became of a publication, or of the subscription, which is asked for again on another connection."""
        say = None if line.unanswered is None else line.unanswered.pop(packet_id, None)
        line.unanswered = line.unanswered or None
        fate = fate_of(reason, is_retained=say is None or say.retain)
        self.counts[_COUNTED[fate]] += 1
        now_s = time.time()
        if say is None:
            if fate is not Fate.TAKEN:
                self._lose(index, line, now_s)
        elif fate is Fate.TAKEN:
            if line.kept is not None and not say.retain:
                line.kept.absences = 0
                self._say_again(index, line, line.kept, now_s)
        elif fate is not Fate.NEVER:
            if say.retain:
                self._keep_report(index, line, now_s)
            else:
                line.kept = kept = line.kept or Kept()
                self.counts["given up"] += kept.put((say,), first=True)
                kept.refuse(now_s, self._random.random())
                heapq.heappush(self._agenda, (kept.again_s, index))

    def _keep_report(self, index: int, line: Line, now_s: float) -> None:
        line.kept = kept = line.kept or Kept()
        kept.postpone_report(now_s, self._random.random())
        heapq.heappush(self._agenda, (kept.again_s, index))

    def _say_again(self, index: int, line: Line, kept: Kept, now_s: float) -> None:
        said = self._documents(line, now_s) if kept.is_report_due else []
        kept.is_report_due = False
        for say in [*said, *kept.attempt()]:
            self._publish(index, line, say)
        if not kept.says and not kept.is_silent:
            line.kept = None

    def _publish(self, index: int, line: Line, say: Say) -> None:
        packet_id = self._next_id(line) if say.qos else None
        if packet_id is not None:
            line.unanswered = line.unanswered or {}
            line.unanswered[packet_id] = say
        head = mqtt.publish(of_device(line.device.name, say.leaf), len(say.payload), packet_id, retain=say.retain)
        self.counts[say.leaf] += 1
        self._write(index, line, head + say.payload)

    def _write(self, index: int, line: Line, raw: bytes) -> None:
        if line.socket is None:
            return
        raw = line.pending + raw
        try:
            sent = line.socket.send(raw)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._lose(index, line, time.time())
            return
        line.pending = raw[sent:]
        if len(line.pending) > MAX_PENDING_BYTES:
            self._lose(index, line, time.time())
        elif line.pending:
            heapq.heappush(self._agenda, (time.time() + KNOCK_AGAIN_S, index))

    def _lose(self, index: int, line: Line, now_s: float) -> None:
        if line.socket is not None:
            self._by_fd.pop(line.socket.fileno())
            self._poll.unregister(line.socket)
            line.socket.close()
        line.socket, line.reader, line.pending, line.held, line.is_welcome = None, None, b"", None, False
        letters = [say for say in (line.unanswered or {}).values() if not say.retain]
        line.unanswered = None
        if letters:
            line.kept = line.kept or Kept()
            self.counts["given up"] += line.kept.put(letters, first=True)
        self.counts["links lost"] += 1
        line.connect_s = self._play.leave(line.device, now_s)
        heapq.heappush(self._agenda, (line.connect_s, index))

    def _next_id(self, line: Line) -> int:
        line.packet_id = line.packet_id % mqtt.MAX_PACKET_ID + 1
        return line.packet_id
