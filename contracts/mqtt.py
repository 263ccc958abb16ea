"""The part of MQTT 5 that our own lines speak (OASIS MQTT 5.0): the bytes of what is said, and a reader of what the broker says."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from contracts.errors import MalformedPacketError

MAX_PACKET_ID = 0xFFFF
PINGREQ = b"\xc0\x00"
DISCONNECT = b"\xe0\x00"
# With a session that expires at once, section 3.14.2.2.2.
DISCONNECT_FOR_GOOD = b"\xe0\x07\x00\x05\x11\x00\x00\x00\x00"
# Without a property that says otherwise, section 3.2.2.3.3.
_DEFAULT_RECEIVE_MAXIMUM = 0xFFFF
_LONGEST_VARINT = 4
# Section 3.1.2.3, the connect flags; the will's has QoS 1.
_CLEAN_START, _RETAINED_WILL, _USER_NAME = 0x02, 0x2C, 0x80
_RETAIN = 0x01
# Section 3.8.3.1: QoS 1, and what is retained only where the subscription is new.
_QOS_1, _RETAINED_IF_NEW = 0x01, 0x10
_PUBACK_HEAD = 0x40020000
# A fixed header with the longest length; a body that follows a length of two bytes or more is never shorter than the rest of it.
_HEAD_BYTES = 5
_FIRST_BYTES = 2


class _Kind(IntEnum):
    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGRESP = 13
    DISCONNECT = 14


class _Property(IntEnum):
    SESSION_EXPIRY = 0x11
    RECEIVE_MAXIMUM = 0x21
    MAXIMUM_PACKET_SIZE = 0x27


# Section 2.2.2.2: of which size each property's value is; the rest are a length of two bytes and so many more, once or twice.
_SIZES = {0x01: 1, 0x02: 4, 0x11: 4, 0x13: 2, 0x17: 1, 0x18: 4, 0x19: 1, 0x21: 2, 0x22: 2, 0x23: 2, 0x24: 1, 0x25: 1, 0x27: 4}
_SIZES |= {0x28: 1, 0x29: 1, 0x2A: 1}
_TEXTS = {0x03: 1, 0x08: 1, 0x09: 1, 0x12: 1, 0x15: 1, 0x16: 1, 0x1A: 1, 0x1C: 1, 0x1F: 1, 0x26: 2}
_SUBSCRIPTION_ID = 0x0B


@dataclass(frozen=True)
class Will:
    """What the broker publishes, with QoS 1 and retained, when the connection ends without a farewell."""

    topic: str
    payload: bytes


@dataclass(frozen=True)
class Hello:
    """How a connection is asked for; the broker sends no larger packet, and no more QoS 1 messages ahead of our acknowledgements."""

    client_id: str
    keepalive_s: int
    receive_maximum: int
    max_packet_bytes: int
    # Where no certificate says who we are.
    user: str = ""
    will: Will | None = None
    # How long the broker keeps subscriptions and messages when the connection has ended; 0 begins and ends them with it.
    session_expiry_s: int = 0


@dataclass(frozen=True)
class Welcome:
    """The broker's answer, and how many messages of QoS 1 it takes ahead of its acknowledgements."""

    reason: int
    receive_maximum: int


@dataclass(frozen=True)
class Message:
    """A publication; with QoS 0 it has no identifier. The payload is a view of the reader's memory, good until more is put there."""

    topic: str
    payload: memoryview
    packet_id: int | None


@dataclass(frozen=True)
class Acknowledgement:
    """What became of a publication or of each filter; read by `contracts.mqtt_reasons`."""

    packet_id: int
    reasons: tuple[int, ...]


@dataclass(frozen=True)
class Pong:
    """The broker is there."""


@dataclass(frozen=True)
class Farewell:
    """The broker ends the connection."""

    reason: int


Packet: TypeAlias = Welcome | Message | Acknowledgement | Pong | Farewell


def connect(hello: Hello) -> bytes:
    """Return CONNECT."""
    properties = struct.pack(
        ">BHBI", _Property.RECEIVE_MAXIMUM, hello.receive_maximum, _Property.MAXIMUM_PACKET_SIZE, hello.max_packet_bytes
    )
    flags, tail = _CLEAN_START, _text(hello.client_id)
    if hello.session_expiry_s:
        flags = 0
        properties += struct.pack(">BI", _Property.SESSION_EXPIRY, hello.session_expiry_s)
    if hello.will is not None:
        flags |= _RETAINED_WILL
        tail += b"\x00" + _text(hello.will.topic) + len(hello.will.payload).to_bytes(2, "big") + hello.will.payload
    if hello.user:
        flags |= _USER_NAME
        tail += _text(hello.user)
    fixed = _text("MQTT") + struct.pack(">BBH", 5, flags, hello.keepalive_s)
    return _packet(_Kind.CONNECT, 0, fixed + _varint(len(properties)) + properties + tail)


def subscribe(packet_id: int, filters: Sequence[str], *, again: bool = False) -> bytes:
    """Return SUBSCRIBE for QoS 1; `again` leaves out what is retained for filters that the broker still knows."""
    options = bytes([_QOS_1 | (_RETAINED_IF_NEW if again else 0)])
    asked = b"".join(_text(each) + options for each in filters)
    return _packet(_Kind.SUBSCRIBE, 2, packet_id.to_bytes(2, "big") + b"\x00" + asked)


def unsubscribe(packet_id: int, filters: Sequence[str]) -> bytes:
    """Return UNSUBSCRIBE."""
    return _packet(_Kind.UNSUBSCRIBE, 2, packet_id.to_bytes(2, "big") + b"\x00" + b"".join(map(_text, filters)))


def publish(topic: str, size: int, packet_id: int | None = None, *, retain: bool = False) -> bytes:
    """Return PUBLISH up to its payload of `size` bytes, which is to follow; QoS 1 with an identifier, else QoS 0."""
    identifier = b"" if packet_id is None else packet_id.to_bytes(2, "big")
    head = _text(topic) + identifier + b"\x00"
    flags = (0 if packet_id is None else 0x02) | (_RETAIN if retain else 0)
    return bytes([_Kind.PUBLISH << 4 | flags]) + _varint(len(head) + size) + head


def acknowledge(packet_id: int) -> bytes:
    """Return PUBACK."""
    return _packet(_Kind.PUBACK, 0, packet_id.to_bytes(2, "big"))


def acknowledge_all(packet_ids: Sequence[int]) -> bytes:
    """Return a PUBACK for each."""
    return struct.pack(f">{len(packet_ids)}I", *[_PUBACK_HEAD | packet_id for packet_id in packet_ids])


class Reader:
    """Cuts a stream into packets without copying them: what comes is put where `room` says, each packet where the one before was."""

    def __init__(self, max_packet_bytes: int) -> None:
        """Refuse longer packets before there is memory for them."""
        self._max_bytes = max_packet_bytes
        self._head = memoryview(bytearray(_HEAD_BYTES))
        self._memory = memoryview(bytearray())
        self._body: memoryview | None = None
        self._filled = 0

    def room(self) -> memoryview:
        """Return where the next bytes belong: at least one, and never beyond the packet."""
        if self._body is not None:
            return self._body[self._filled :]
        return self._head[self._filled : _FIRST_BYTES if self._filled < _FIRST_BYTES else _HEAD_BYTES]

    def took(self, count: int) -> Packet | None:
        """Take note of `count` bytes put there; return the packet that they complete. Raises MalformedPacketError."""
        self._filled += count
        if self._body is None:
            self._begin()
        if self._body is None or self._filled < len(self._body):
            return None
        body, self._body, self._filled = self._body, None, 0
        return parse(self._head[0], body)

    def _begin(self) -> None:
        is_short = self._filled == _FIRST_BYTES and self._head[1] < 0x80
        if not is_short and self._filled < _HEAD_BYTES:
            return
        length, end = _read_varint(self._head[: self._filled], 1)
        if length + end > self._max_bytes:
            raise MalformedPacketError("length", f"at most {self._max_bytes} bytes", f"{length + end}")
        if length + end < self._filled:
            raise MalformedPacketError("length", "the shortest form", f"{end - 1} bytes for {length}")
        if length > len(self._memory):
            self._memory = memoryview(bytearray(length))
        self._body = self._memory[:length]
        spilt = self._head[end : self._filled]
        self._body[: len(spilt)] = spilt
        self._filled = len(spilt)


def parse(first: int, body: memoryview) -> Packet:
    """Read a packet by its first byte and all that follows its length; raise MalformedPacketError."""
    kind, flags = first >> 4, first & 0x0F
    try:
        if kind == _Kind.PUBLISH:
            return _message(flags, body)
        if kind == _Kind.CONNACK:
            return Welcome(body[1], _receive_maximum(body))
        if kind == _Kind.PUBACK:
            return Acknowledgement(_number(body, 0), (body[2] if len(body) > 2 else 0,))
        if kind in (_Kind.SUBACK, _Kind.UNSUBACK):
            length, start = _read_varint(body, 2)
            return Acknowledgement(_number(body, 0), tuple(body[start + length :]))
    except IndexError as error:
        raise MalformedPacketError(_Kind(kind).name, "all of its fields", f"{len(body)} bytes") from error
    if kind == _Kind.PINGRESP:
        return Pong()
    if kind == _Kind.DISCONNECT:
        return Farewell(body[0] if body else 0)
    raise MalformedPacketError("kind", "one that a broker sends us", f"{kind}")


def _message(flags: int, body: memoryview) -> Message:
    qos = flags >> 1 & 0x03
    if qos > 1:
        raise MalformedPacketError("PUBLISH", "QoS 0 or 1", f"{qos}")
    end = 2 + _number(body, 0)
    packet_id = _number(body, end) if qos else None
    length, start = _read_varint(body, end + 2 * qos)
    if start + length > len(body):
        raise IndexError
    try:
        topic = str(body[2:end], "utf-8")
    except UnicodeDecodeError as error:
        raise MalformedPacketError("topic", "UTF-8", repr(bytes(body[2:end][:40]))) from error
    return Message(topic, body[start + length :], packet_id)


def _receive_maximum(body: memoryview) -> int:
    length, start = _read_varint(body, 2)
    for name, value in _properties(body[start : start + length]):
        if name == _Property.RECEIVE_MAXIMUM:
            return _number(value, 0)
    return _DEFAULT_RECEIVE_MAXIMUM


def _properties(raw: memoryview) -> Iterator[tuple[int, memoryview]]:
    start = 0
    while start < len(raw):
        name, end = raw[start], start + 1
        if name == _SUBSCRIPTION_ID:
            _, end = _read_varint(raw, end)
        elif name in _TEXTS:
            for _ in range(_TEXTS[name]):
                end += 2 + _number(raw, end)
        elif name in _SIZES:
            end += _SIZES[name]
        else:
            raise MalformedPacketError("property", "one that MQTT 5 knows", f"{name:#x}")
        yield name, raw[start + 1 : end]
        start = end


def _number(raw: memoryview, start: int) -> int:
    return raw[start] << 8 | raw[start + 1]


def _read_varint(raw: memoryview, start: int) -> tuple[int, int]:
    """Return a number of variable length, and where it ends."""
    value = 0
    for place in range(_LONGEST_VARINT):
        byte = raw[start + place]
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, start + place + 1
    raise MalformedPacketError("length", f"at most {_LONGEST_VARINT} bytes", "more")


def _varint(value: int) -> bytes:
    raw = bytearray()
    while value >= 0x80:
        raw.append(value & 0x7F | 0x80)
        value >>= 7
    raw.append(value)
    return bytes(raw)


def _text(text: str) -> bytes:
    raw = text.encode()
    return len(raw).to_bytes(2, "big") + raw


def _packet(kind: _Kind, flags: int, body: bytes) -> bytes:
    return bytes([kind << 4 | flags]) + _varint(len(body)) + body
