"""The graph as the file says it: every tensor with its element type, quantization and bytes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from compiler.lower.tflite.ir import Array, Options, Shape
from compiler.lower.tflite.kinds import Kind


class Element(Enum):
    """Element types, by numpy's names; the member's name is the schema's."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT8 = "int8"
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    UINT8 = "uint8"
    BOOL = "bool"


@dataclass(frozen=True)
class Params:
    """real = (integer - zero_point) * scale; one scale for the whole tensor, or one for each index along `axis` and zero points 0."""

    scales: tuple[float, ...]
    zero_point: int = 0
    axis: int = 0

    @property
    def scale(self) -> float:
        """Return the only scale."""
        assert len(self.scales) == 1
        return self.scales[0]

    def is_near(self, other: Params) -> bool:
        """Say whether two tensors' integers mean the same, but for the last bits of a float."""
        return self.zero_point == other.zero_point and bool(np.allclose(self.scales, other.scales, rtol=1e-6, atol=0))


@dataclass(frozen=True, eq=False)
class Stored:
    """One tensor of the file; `values` of a constant."""

    name: str
    shape: Shape
    element: Element
    params: Params | None = None
    values: Array | None = None


@dataclass(frozen=True)
class StoredOp:
    """One operator of the file."""

    kind: Kind
    version: int
    inputs: tuple[Stored, ...]
    outputs: tuple[Stored, ...]
    options: Options


@dataclass(frozen=True)
class StoredGraph:
    """All that the file holds; outputs with the names that the model gives them."""

    inputs: tuple[Stored, ...]
    outputs: tuple[tuple[str, Stored], ...]
    ops: tuple[StoredOp, ...]
