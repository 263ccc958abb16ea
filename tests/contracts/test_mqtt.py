"""What lines for files say and hear is MQTT 5: however a stream is cut, its packets are the same, and nonsense is refused by name."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import mqtt
from contracts.errors import MalformedPacketError

MAX_BYTES = 1 << 20
topics = st.text(min_size=1, max_size=40)
packet_ids = st.integers(1, mqtt.MAX_PACKET_ID)


def read(raw: bytes, cuts: tuple[int, ...] = ()) -> list[tuple[mqtt.Packet, bytes]]:
    """Feed a reader, at most so many bytes at a time in turn; return its packets, each with a copy of its payload."""
    reader, found, place, turn = mqtt.Reader(MAX_BYTES), [], 0, 0
    while place < len(raw):
        room = reader.room()
        assert len(room) > 0
        count = min(len(room), len(raw) - place, cuts[turn % len(cuts)] if cuts else len(raw))
        room[:count] = raw[place : place + count]
        place, turn = place + count, turn + 1
        packet = reader.took(count)
        if packet is not None:
            found.append((packet, bytes(packet.payload) if isinstance(packet, mqtt.Message) else b""))
    return found


def message(topic: str, payload: bytes, packet_id: int | None) -> bytes:
    return mqtt.publish(topic, len(payload), packet_id) + payload


@given(st.lists(st.tuples(topics, st.binary(max_size=400), st.none() | packet_ids), max_size=6), st.lists(st.integers(1, 300), min_size=1))
def test_a_stream_gives_the_same_messages_however_it_is_cut(messages: list[tuple[str, bytes, int | None]], cuts: list[int]) -> None:
    raw = b"".join(message(*each) + mqtt.acknowledge(7) for each in messages)
    found = read(raw, tuple(cuts))
    assert [(packet.topic, payload, packet.packet_id) for packet, payload in found if isinstance(packet, mqtt.Message)] == messages
    assert sum(packet == mqtt.Acknowledgement(7, (0,)) for packet, _ in found) == len(messages)


@pytest.mark.parametrize("size", [0, 1, 100, 125, 126, 127, 128, 16_370, 16_384, 262_144])
def test_lengths_of_every_form_are_read(size: int) -> None:
    payload = bytes(size)
    (found,) = read(message("t", payload, None))
    assert found[1] == payload


def test_properties_of_a_message_are_passed_over() -> None:
    # Given a content type and a user property
    properties = b"\x03\x00\x01x" + b"\x26\x00\x01a\x00\x01b"
    body = b"\x00\x01t" + b"\x00\x05" + bytes([len(properties)]) + properties + b"payload"
    ((found, payload),) = read(bytes([0x32, len(body)]) + body)
    assert isinstance(found, mqtt.Message)
    assert (found.topic, payload, found.packet_id) == ("t", b"payload", 5)


@given(st.integers(1, 0xFFFF), st.text(max_size=20))
def test_the_brokers_allowance_is_found_among_its_properties(allowance: int, text: str) -> None:
    raw_text = text.encode()
    properties = (
        b"\x12" + struct.pack(">H", len(raw_text)) + raw_text + b"\x22\x00\x0a" + b"\x21" + struct.pack(">H", allowance) + b"\x2a\x01"
    )
    body = bytes([0, 0, len(properties)]) + properties
    assert read(bytes([0x20, len(body)]) + body) == [(mqtt.Welcome(0, allowance), b"")]


@pytest.mark.parametrize(
    ("raw", "part"),
    [
        (b"\x30\xff\xff\xff\xff", "length"),
        (b"\x30\xff\xff\xff\x7f", "length"),
        (b"\x30\x80\x00\x00\x00", "length"),
        (b"\x30\x01\x00", "PUBLISH"),
        (b"\x30\x03\x00\x09t", "PUBLISH"),
        (b"\x30\x04\x00\x01t\x09", "PUBLISH"),
        (b"\x34\x06\x00\x01t\x00\x01\x00", "PUBLISH"),
        (b"\x30\x04\x00\x01\xff\x00", "topic"),
        (b"\x20\x01\x00", "CONNACK"),
        (b"\x20\x05\x00\x00\x02\x7f\x00", "property"),
        (b"\x40\x01\x00", "PUBACK"),
        (b"\x10\x00", "kind"),
    ],
)
def test_what_is_no_mqtt_is_refused_by_its_part(raw: bytes, part: str) -> None:
    with pytest.raises(MalformedPacketError) as caught:
        read(raw)
    assert caught.value.part == part


@given(st.binary(max_size=200))
def test_random_bytes_never_do_worse_than_be_refused(raw: bytes) -> None:
    with contextlib.suppress(MalformedPacketError):
        read(raw)
