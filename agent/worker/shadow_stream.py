"""What the live worker tells a candidate in shadow: frames of an input and its live answer, each two lengths, a head and bytes."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from agent.runtimes.port import Array, Arrays
from agent.worker.errors import ShadowStreamError

MAX_HEAD_BYTES = 64 * 1024
# A larger answer is not shown.
MAX_BODY_BYTES = 64 * 1024 * 1024
_LENGTHS = struct.Struct("!II")
# What a model's tensors are made of; none of them runs code when it is read.
_KINDS = frozenset("biuf")


class Shape(BaseModel, frozen=True, extra="forbid"):
    """One array in a frame's body."""

    name: str
    dtype: Annotated[str, Field(max_length=8)]
    shape: tuple[Annotated[int, Field(ge=0)], ...]


class Head(BaseModel, frozen=True, extra="forbid"):
    """What a frame holds; its inputs' bytes come first, then its outputs'."""

    # Of the live release.
    release_dir: str
    target: str
    count: Annotated[int, Field(ge=1, le=1 << 16)]
    # What the live model took.
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    # Sampled inputs that were not told since the frame before, because the candidate was slow.
    dropped: Annotated[int, Field(ge=0)]
    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]


@contextmanager
def short_path(path: str) -> Iterator[str]:
    """Yield another name of a socket: its path may have 107 bytes, and through its folder's descriptor it is always short enough."""
    folder = os.open(Path(path).parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{Path(path).name}"
    finally:
        os.close(folder)


def listening_at(path: str) -> socket.socket:
    """Listen for one live worker, of our own user."""
    Path(path).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    with short_path(path) as short:
        before = os.umask(0o177)
        try:
            listener.bind(short)
        finally:
            os.umask(before)
    listener.listen(2)
    return listener


def shapes_of(arrays: Arrays) -> tuple[Shape, ...]:
    """Describe arrays in their order."""
    return tuple(Shape(name=name, dtype=values.dtype.str, shape=values.shape) for name, values in arrays.items())


def framed(head: Head, arrays: list[Array]) -> bytes:
    """Write one frame."""
    raw = head.model_dump_json().encode()
    body = b"".join(np.ascontiguousarray(values).tobytes() for values in arrays)
    return _LENGTHS.pack(len(raw), len(body)) + raw + body


async def read_frame(reader: asyncio.StreamReader) -> tuple[Head, Arrays, Arrays] | None:
    """Read one frame, its inputs and its outputs; None at the end; raise ShadowStreamError for what is none."""
    try:
        head_bytes, body_bytes = _LENGTHS.unpack(await reader.readexactly(_LENGTHS.size))
        if head_bytes > MAX_HEAD_BYTES or body_bytes > MAX_BODY_BYTES:
            raise ShadowStreamError(f"at most {MAX_HEAD_BYTES} and {MAX_BODY_BYTES} bytes", f"{head_bytes} and {body_bytes}")
        head = Head.model_validate_json(await reader.readexactly(head_bytes))
        body = await reader.readexactly(body_bytes)
    except (asyncio.IncompleteReadError, OSError):
        return None
    except ValidationError as error:
        raise ShadowStreamError("a frame's head", str(error.errors(include_url=False)[0]["msg"])) from error
    inputs, rest = _arrays(head.inputs, memoryview(body))
    outputs, rest = _arrays(head.outputs, rest)
    if len(rest):
        raise ShadowStreamError("no bytes behind the last array", str(len(rest)))
    return head, inputs, outputs


def _arrays(shapes: tuple[Shape, ...], body: memoryview) -> tuple[Arrays, memoryview]:
    arrays: Arrays = {}
    for shape in shapes:
        try:
            dtype = np.dtype(shape.dtype)
        except TypeError as error:
            raise ShadowStreamError("a number's type", shape.dtype) from error
        if dtype.kind not in _KINDS:
            raise ShadowStreamError("a number's type", shape.dtype)
        size = prod(shape.shape) * dtype.itemsize
        if size > len(body):
            raise ShadowStreamError(f"{size} bytes of {shape.name}", str(len(body)))
        arrays[shape.name] = np.frombuffer(body[:size], dtype).reshape(shape.shape)
        body = body[size:]
    return arrays, body
