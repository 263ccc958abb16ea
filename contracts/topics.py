"""Every MQTT topic of fieldfare: how each is built, and how a received one is read back."""

from __future__ import annotations

import re
from dataclasses import dataclass

PREFIX = "ff/v1"

# Every device may read these two trees: what lies there is public, and worthless unless its digest or signature fits.
CHUNKS = f"{PREFIX}/chunk"
TRUST = f"{PREFIX}/trust"

# Beside the files of the TUF repository: which authority follows the present one.
AUTHORITY = f"{TRUST}/authority"

# What a device publishes under its own name, and what it is told there.
UPLINKS = ("birth", "reported", "health", "inference", "event", "want", "renew")
DOWNLINKS = ("desired", "offer", "certificate")
_UPLINK = re.compile(rf"{PREFIX}/(?!chunk/|trust/)([a-z0-9][a-z0-9._-]{{0,63}})/({'|'.join(UPLINKS)})")
_RESULT = re.compile(rf"{PREFIX}/(?!chunk/|trust/)([a-z0-9][a-z0-9._-]{{0,63}})/command/([0-9a-f]{{32}})/result")
_COMMAND = re.compile(rf"{PREFIX}/(?!chunk/|trust/)([a-z0-9][a-z0-9._-]{{0,63}})/command/([0-9a-f]{{32}})")
_CHUNK = re.compile(rf"{PREFIX}/(?:[a-z0-9][a-z0-9._-]{{0,63}}/)?chunk/([0-9a-f]{{64}})/([0-9]{{1,9}})")
_TRUST_FILE = re.compile(
    rf"{TRUST}/((?:[0-9]{{1,9}}\.)?(?:root|snapshot|targets|timestamp|model-[a-z0-9][a-z0-9._-]{{0,63}})\.json|director\.json)"
)


def of_device(device: str, leaf: str) -> str:
    """Return a device's own topic, such as ff/v1/pi-1/health."""
    return f"{PREFIX}/{device}/{leaf}"


def of_every_device(leaf: str) -> str:
    """Return the filter that matches one leaf of every device."""
    return f"{PREFIX}/+/{leaf}"


def of_command(device: str, command: str) -> str:
    """Return the topic on which a device is told a command."""
    return f"{PREFIX}/{device}/command/{command}"


def of_commands(device: str) -> str:
    """Return the filter for all commands to a device."""
    return of_command(device, "+")


def result_leaf(command: str) -> str:
    """Return the leaf under which a device answers a command."""
    return f"command/{command}/result"


def of_chunk(digest: str, index: int) -> str:
    """Return the topic on which one chunk of a file is published, for all who wait."""
    return f"{CHUNKS}/{digest}/{index}"


def of_chunks(digest: str) -> str:
    """Return the filter for all chunks of one file."""
    return f"{CHUNKS}/{digest}/+"


def of_own_chunk(device: str, digest: str, index: int) -> str:
    """Return the topic on which a chunk is published that one device alone still lacks."""
    return f"{PREFIX}/{device}/chunk/{digest}/{index}"


def of_own_chunks(device: str, digest: str) -> str:
    """Return the filter for a device's own chunks of one file."""
    return f"{PREFIX}/{device}/chunk/{digest}/+"


def of_trust_file(filename: str) -> str:
    """Return the retained topic of one file of the TUF repository."""
    return f"{TRUST}/{filename}"


@dataclass(frozen=True)
class Uplink:
    """A topic that a device published on."""

    device: str
    leaf: str


@dataclass(frozen=True)
class CommandTopic:
    """A topic that carries a command, or its result."""

    device: str
    command: str


@dataclass(frozen=True)
class ChunkTopic:
    """A topic that carries one chunk."""

    digest: str
    index: int


def parse_uplink(topic: str) -> Uplink | None:
    """Read a device's topic; None for any other."""
    match = _UPLINK.fullmatch(topic)
    return Uplink(match[1], match[2]) if match else None


def parse_command(topic: str) -> CommandTopic | None:
    """Read a command's topic; None for any other."""
    match = _COMMAND.fullmatch(topic)
    return CommandTopic(match[1], match[2]) if match else None


def parse_result(topic: str) -> CommandTopic | None:
    """Read the topic of a command's result; None for any other."""
    match = _RESULT.fullmatch(topic)
    return CommandTopic(match[1], match[2]) if match else None


def parse_chunk(topic: str) -> ChunkTopic | None:
    """Read a chunk's topic, be it everybody's or one device's own; None for any other."""
    match = _CHUNK.fullmatch(topic)
    return ChunkTopic(match[1], int(match[2])) if match else None


def parse_trust_file(topic: str) -> str | None:
    """Return the file name of a trust topic; None for any name that no TUF repository of ours holds."""
    match = _TRUST_FILE.fullmatch(topic)
    return match[1] if match else None
