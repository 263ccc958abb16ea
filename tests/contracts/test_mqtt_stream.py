"""A stream of MQTT packets is cut the same however it arrives, and what is no packet is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import mqtt
from contracts.errors import MalformedPacketError
from contracts.mqtt_stream import Delivery, Stream

TOPICS = st.text("abc/é", min_size=1, max_size=40)
MESSAGES = st.lists(st.tuples(TOPICS, st.binary(max_size=300), st.integers(1, mqtt.MAX_PACKET_ID)), max_size=8)


def wire_of(messages: list[tuple[str, bytes, int]]) -> bytes:
    return b"".join(mqtt.publish(topic, len(payload), number) + payload for topic, payload, number in messages)


@given(MESSAGES, st.lists(st.integers(1, 50), max_size=40))
@settings(deadline=None)
def test_the_same_messages_come_out_however_the_stream_is_cut(messages: list[tuple[str, bytes, int]], sizes: list[int]) -> None:
    raw = wire_of(messages)
    stream, found, start = Stream(1000), [], 0
    for size in (*sizes, len(raw)):
        found += stream.feed(raw[start : start + size])[0]
        start += size

    assert found == [Delivery(*message) for message in messages]


def test_properties_of_any_length_are_left_out() -> None:
    long = b"\x26" + b"\x00\x01k" + (200).to_bytes(2, "big") + b"v" * 200
    body = b"\x00\x01t" + b"\x00\x07" + bytes([len(long) & 0x7F | 0x80, len(long) >> 7]) + long + b"payload"
    raw = bytes([0x32, len(body) & 0x7F | 0x80, len(body) >> 7]) + body

    assert Stream(1000).feed(raw) == ([Delivery("t", b"payload", 7)], [])


def test_a_publication_without_acknowledgement_has_no_number_and_other_packets_come_apart() -> None:
    raw = mqtt.publish("t", 2) + b"q0" + b"\xd0\x00" + wire_of([("t", b"q1", 7)])

    assert Stream(1000).feed(raw) == ([Delivery("t", b"q0", 0), Delivery("t", b"q1", 7)], [mqtt.Pong()])


def test_a_packet_that_is_longer_than_agreed_is_refused_before_it_is_there() -> None:
    with pytest.raises(MalformedPacketError, match="at most 1000 bytes"):
        Stream(1000).feed(b"\x32\xff\x7f")


@given(st.binary(max_size=60))
@settings(deadline=None)
def test_noise_is_packets_or_one_clear_error(noise: bytes) -> None:
    stream = Stream(1000)
    try:
        stream.feed(b"\x32" + noise)
    except MalformedPacketError:
        return
    assert len(stream._rest) <= 61


def test_many_acknowledgements_are_the_same_as_one_after_the_other() -> None:
    numbers = [1, 2, 300, mqtt.MAX_PACKET_ID]

    assert mqtt.acknowledge_all(numbers) == b"".join(map(mqtt.acknowledge, numbers))
