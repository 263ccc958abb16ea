"""Decides what a broker's answer means for what was said: it is taken, may be said again, or never will be (OASIS MQTT 5.0, 2.4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum

TAKEN = 0x00
NO_MATCHING_SUBSCRIBERS = 0x10
FAILURE = 0x80
PACKET_TOO_LARGE = 0x95


class Fate(Enum):
    """What becomes of a message or of a subscription."""

    TAKEN = "taken"
    # The broker acknowledged it and forgot it: nobody was there to give it to.
    NOBODY = "nobody"
    # It was refused for a reason that may pass: a quota, a right that is not given yet, a fault of the broker.
    LATER = "later"
    # However often it is said, it is refused.
    NEVER = "never"


# Sections 3.4.2.1 (PUBACK), 3.9.3 (SUBACK) and 3.14.2.1 (DISCONNECT); mosquitto answers a publication with 0x95 too.
_NAMES = {
    0x80: "unspecified error",
    0x83: "implementation specific error",
    0x87: "not authorized",
    0x8F: "topic filter invalid",
    0x90: "topic name invalid",
    0x91: "packet identifier in use",
    PACKET_TOO_LARGE: "packet too large",
    0x96: "message rate too high",
    0x97: "quota exceeded",
    0x99: "payload format invalid",
    0x9A: "retain not supported",
    0x9B: "QoS not supported",
    0x9E: "shared subscriptions not supported",
    0xA1: "subscription identifiers not supported",
    0xA2: "wildcard subscriptions not supported",
}
_FOR_GOOD = frozenset({0x8F, 0x90, PACKET_TOO_LARGE, 0x99, 0x9A, 0x9B, 0x9E, 0xA1, 0xA2})


def fate_of(reason: int, *, is_retained: bool = False) -> Fate:
    """Return what a reason code says of a message, which the broker keeps by itself if it is retained, or of a subscription."""
    if reason >= FAILURE:
        return Fate.NEVER if reason in _FOR_GOOD else Fate.LATER
    return Fate.NOBODY if reason == NO_MATCHING_SUBSCRIBERS and not is_retained else Fate.TAKEN


def words(reason: int) -> str:
    """Return a refusal as people read it."""
    return f"{_NAMES.get(reason, 'refused')} ({reason:#04x})"


def completed(names: Mapping[int, Mapping[str, list[int]]], answers: Iterable[int]) -> dict[int, dict[str, list[int]]]:
    """Return paho's table of names with every refusal in every one of these kinds of packets: its thread dies of one that it lacks.

    mosquitto answers a publication that is too large for it with 0x95, which the text has for other packets alone.
    """
    known = {code: dict(each) for code, each in names.items()}
    for code in range(FAILURE, 0x100):
        known[code] = {next(iter(known.get(code, ())), words(code)): list(answers)}
    return known
