"""Writes a step's result as bytes and reads it back: one line of JSON, then the arrays one after the other; nothing in it can run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
KINDS = frozenset("iufb")


@dataclass(frozen=True)
class Packed:
    """Plain values, and arrays of numbers in their order."""

    values: dict[str, Any]
    arrays: dict[str, Array]

    def to_bytes(self) -> bytes:
        """Return the bytes; equal contents have equal bytes."""
        arrays = {name: np.ascontiguousarray(array) for name, array in self.arrays.items()}
        shapes = [[name, array.dtype.str, list(self.arrays[name].shape)] for name, array in arrays.items()]
        head = json.dumps({"values": self.values, "arrays": shapes}, separators=(",", ":"))
        return b"".join([head.encode(), b"\n", *(array.tobytes() for array in arrays.values())])


def packed(values: Mapping[str, Any], arrays: Mapping[str, Array]) -> bytes:
    """Write JSON values and arrays of integers, floats or booleans."""
    return Packed(dict(values), dict(arrays)).to_bytes()


def unpacked(raw: bytes) -> Packed:
    """Read what `packed` wrote; raise ValueError, KeyError or TypeError for anything else."""
    head, _, rest = raw.partition(b"\n")
    document = json.loads(head)
    arrays, offset = {}, 0
    for name, code, shape in document["arrays"]:
        dtype = np.dtype(code)
        if dtype.kind not in KINDS or dtype.str != code:
            raise ValueError(f"an array of {code}")
        size = prod(shape) * dtype.itemsize
        arrays[name] = np.frombuffer(rest[offset : offset + size], dtype).reshape(shape)
        offset += size
    if offset != len(rest):
        raise ValueError(f"{len(rest)} bytes of arrays, {offset} announced")
    return Packed(document["values"], arrays)
