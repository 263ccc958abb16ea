"""Every parser of `contracts` under one signature: bytes in; what it cannot read is a ContractError, and what it reads it writes back."""

from __future__ import annotations

import io
import json
import struct
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from contracts import codec, commands, downlinks, messages, mqtt, topics
from contracts.chunks import Bitmap
from contracts.delta.apply import apply
from contracts.delta.encode import weights_of
from contracts.enrolment import Enrolled, EnrolmentRequest, parse_token
from contracts.errors import ContractError
from contracts.manifest import Manifest
from contracts.pace import Hours
from contracts.postprocess import parse_postprocess
from contracts.preprocess import Preprocess
from contracts.trust import DirectorKeys, ReleaseTarget

VECTORS = Path(__file__).parent.parent / "vectors"
DOCUMENTS: tuple[type[BaseModel], ...] = (
    *messages.UPLINK_MESSAGES.values(),
    downlinks.Desired,
    downlinks.Offer,
    downlinks.Renewed,
    commands.Command,
    commands.CommandResult,
    commands.CostTable,
    Manifest,
    ReleaseTarget,
    DirectorKeys,
    EnrolmentRequest,
    Enrolled,
)
MAX_BYTES = 1 << 16
# More chunks than any file of the wire's form has bits for.
_COUNT = struct.Struct("<H")


@dataclass(frozen=True)
class Parser:
    """One family of parsers, and inputs that it reads, from which others are bred."""

    read: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]


def read_document(raw: bytes) -> None:
    """Read a document of the kind that the first byte counts to."""
    kind = DOCUMENTS[raw[0] % len(DOCUMENTS)] if raw else DOCUMENTS[0]
    document = codec.decode(kind, raw[1:], name=kind.__name__, max_bytes=MAX_BYTES)
    written = codec.encode(document)
    assert codec.decode(kind, written, name=kind.__name__, max_bytes=len(written)) == document


def read_topic(raw: bytes) -> None:
    """Read a topic in every way that topics are read."""
    topic = raw.decode(errors="replace")
    if uplink := topics.parse_uplink(topic):
        assert topics.of_device(uplink.device, uplink.leaf) == topic
    if command := topics.parse_command(topic):
        assert topics.of_command(command.device, command.command) == topic
    if result := topics.parse_result(topic):
        assert topics.of_device(result.device, topics.result_leaf(result.command)) == topic
    if chunk := topics.parse_chunk(topic):
        assert int(topic.rpartition("/")[2]) == chunk.index
    if name := topics.parse_trust_file(topic):
        assert topics.of_trust_file(name) == topic
        assert Path(name).name == name


def read_preprocess(raw: bytes) -> None:
    """Read what a user writes behind --preprocess."""
    step = Preprocess.parse(raw.decode(errors="replace"))
    assert Preprocess.model_validate_json(codec.encode(step)) == step


def read_postprocess(raw: bytes) -> None:
    """Read what a user writes behind --postprocess."""
    step = parse_postprocess(raw.decode(errors="replace"))
    assert step is None or type(step).model_validate_json(codec.encode(step)) == step


def read_bitmap(raw: bytes) -> None:
    """Read the wire form of a set of chunks, the first two bytes being how many there are."""
    if len(raw) > _COUNT.size:
        count = _COUNT.unpack_from(raw)[0] + 1
        bitmap = Bitmap.from_hex(count, raw[_COUNT.size :].decode(errors="replace"))
        assert Bitmap.of(count, bitmap) == bitmap
        assert Bitmap.from_hex(count, bitmap.to_hex()) == bitmap


def read_token(raw: bytes) -> None:
    """Read an enrolment token."""
    text = raw.decode(errors="replace")
    assert str(parse_token(text)) == text.strip()


def read_hours(raw: bytes) -> None:
    """Read the hours of a day; a ValueError is what a configuration's reader expects."""
    with suppress(ValueError):
        Hours.parse(raw.decode(errors="replace"))


def read_packets(raw: bytes) -> None:
    """Cut a broker's bytes into packets."""
    reader, rest = mqtt.Reader(MAX_BYTES), memoryview(raw)
    while rest:
        room = reader.room()
        part = rest[: len(room)]
        room[: len(part)] = part
        packet = reader.took(len(part))
        rest = rest[len(part) :]
        assert not isinstance(packet, mqtt.Message) or len(packet.topic) + len(packet.payload) <= MAX_BYTES


def read_delta(raw: bytes) -> None:
    """Apply a delta to the base that the vector's delta starts from."""
    vector = _delta_vector()
    with tempfile.TemporaryFile() as target:
        apply(io.BytesIO(vector["base"]), io.BytesIO(raw), target, codec.sha256_of(vector["target"]), len(vector["target"]))


def read_weights(raw: bytes) -> None:
    """Look for tensors in a file, which may be anything: no place outside it is ever named."""
    for weights in weights_of(memoryview(raw)):
        assert weights.place.start >= 0
        assert weights.place.start + weights.place.length <= len(raw)


def _delta_vector() -> dict[str, bytes]:
    return {name: bytes.fromhex(value) for name, value in json.loads((VECTORS / "delta.json").read_text()).items()}


def _documents() -> Iterable[bytes]:
    places = {kind.__name__: place for place, kind in enumerate(DOCUMENTS)}
    for vector in json.loads((VECTORS / "documents.json").read_text()):
        yield bytes([places[vector["model"]]]) + vector["canonical"].encode()


def _bitmaps() -> Iterable[bytes]:
    for vector in json.loads((VECTORS / "bitmaps.json").read_text()):
        yield _COUNT.pack(vector["count"] - 1) + vector["hex"].encode()


# The smallest file with a tensor in it: model, its one graph, that one's one tensor, an empty buffer and one of four bytes.
_TFLITE = bytes.fromhex(
    "1800000054464c3300000e0010000c0000000800000004000e0000000c0000002c00000003000000020000001c00000004000000deffffff04000000"
    "04000000000102030400040004000000010000000c00000000000600080004000600000004000000010000001000000000000a0010000c000b000400"
    "0a0000000100000000000009040000000100000004000000"
)
_PACKETS = (
    bytes.fromhex("20 06 00 00 03 21 00 20"),
    mqtt.publish("ff/v1/chunk/0", 4, 7) + b"abcd",
    bytes.fromhex("90 04 00 01 00 01"),
    bytes.fromhex("40 02 00 07 d0 00 e0 01 8e"),
)
_PREPROCESS = b"resize=256,kernel=bilinear,crop=224x224,scale=0.0039,mean=0.4:0.4:0.4,std=0.2:0.2:0.2,channels=BGR,layout=CHW"
_POSTPROCESS = (b"boxes=yolov8,size=320x320,threshold=0.25,overlap=0.45,limit=100", b"softmax,threshold=0.5")

PARSERS: dict[str, Parser] = {
    "documents": Parser(read_document, _documents),
    "topics": Parser(read_topic, lambda: [topic.encode() for topic in json.loads((VECTORS / "topics.json").read_text()).values()]),
    "preprocess": Parser(read_preprocess, lambda: [_PREPROCESS]),
    "postprocess": Parser(read_postprocess, lambda: _POSTPROCESS),
    "tokens": Parser(read_token, lambda: [b"ff1." + b"A" * 43 + b"." + b"B" * 43]),
    "hours": Parser(read_hours, lambda: [b"22:00-06:00"]),
    "packets": Parser(read_packets, lambda: [b"".join(_PACKETS)]),
    "bitmaps": Parser(read_bitmap, _bitmaps),
    "deltas": Parser(read_delta, lambda: [_delta_vector()["delta"]]),
    "weights": Parser(read_weights, lambda: [_delta_vector()["base"], _delta_vector()["target"], _TFLITE]),
}


def survive(name: str, raw: bytes) -> None:
    """Feed one input to a parser; whatever comes out but a ContractError is a defect."""
    with suppress(ContractError):
        PARSERS[name].read(raw)
