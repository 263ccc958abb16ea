"""Cuts a stream of MQTT 5 into packets, many at once: for a line of many small messages, whose payloads it copies."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from contracts import mqtt
from contracts.errors import MalformedPacketError

_PUBLISH_QOS_1, _PUBLISH_MASK = 0x32, 0xF6
_LONGEST_VARINT = 4


class Delivery(NamedTuple):
    """A publication without its properties; with QoS 0 its identifier is 0."""

    topic: str
    payload: bytes
    packet_id: int


# Takes half the time of a call of the class.
_new: Callable[[tuple[str, bytes, int]], Delivery] = partial(tuple.__new__, Delivery)


class Stream:
    """What came and is not yet a whole packet, at most one of them."""

    def __init__(self, max_packet_bytes: int) -> None:
        """Refuse longer packets before there is memory for them."""
        self._max_bytes = max_packet_bytes
        self._rest = b""

    def feed(self, raw: bytes) -> tuple[list[Delivery], list[mqtt.Packet]]:
        """Return the publications that are whole by now, and all else that is; raise MalformedPacketError."""
        raw = self._rest + raw if self._rest else raw
        deliveries: list[Delivery] = []
        others: list[mqtt.Packet] = []
        start, end = 0, len(raw)
        while start + 1 < end:
            length, body = raw[start + 1], start + 2
            if length >= 0x80:
                # Nearly all of them have two bytes of length.
                more = raw[body] if body < end else 0x80
                length, body = (length - 0x80 | more << 7, body + 1) if more < 0x80 else _long(raw, start + 1)
            if length > self._max_bytes:
                raise MalformedPacketError("length", f"at most {self._max_bytes} bytes", f"{length}")
            after = body + length
            if length < 0 or after > end:
                break
            if raw[start] & _PUBLISH_MASK == _PUBLISH_QOS_1:
                deliveries.append(_delivery(raw, body, after))
            else:
                packet = mqtt.parse(raw[start], memoryview(raw)[body:after])
                if isinstance(packet, mqtt.Message):
                    deliveries.append(Delivery(packet.topic, bytes(packet.payload), packet.packet_id or 0))
                else:
                    others.append(packet)
            start = after
        self._rest = raw[start:]
        return deliveries, others


def _long(raw: bytes, start: int) -> tuple[int, int]:
    """Return a length of several bytes and where it ends; -1 when that is still to come."""
    value = 0
    for place, byte in enumerate(raw[start : start + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, start + place + 1
    if len(raw) - start >= _LONGEST_VARINT:
        raise MalformedPacketError("length", f"at most {_LONGEST_VARINT} bytes", "more")
    return -1, start


def _delivery(raw: bytes, body: int, after: int) -> Delivery:
    try:
        identifier = body + 2 + (raw[body] << 8 | raw[body + 1])
        properties = raw[identifier + 2]
        begin = identifier + 3 + properties
        if properties < 0x80 and begin <= after:
            return _new((str(raw[body + 2 : identifier], "utf-8"), raw[begin:after], raw[identifier] << 8 | raw[identifier + 1]))
    except (IndexError, UnicodeDecodeError):
        pass  # what is wrong with it, the thorough reader says
    # Long properties, or a packet that is none.
    message = mqtt.parse(_PUBLISH_QOS_1, memoryview(raw)[body:after])
    assert isinstance(message, mqtt.Message)
    assert message.packet_id is not None
    return Delivery(message.topic, bytes(message.payload), message.packet_id)
