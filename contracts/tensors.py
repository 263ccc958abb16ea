"""Names, shapes and datatypes of a model's tensors, in the Open Inference Protocol's words."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

# Open Inference Protocol v2, "tensor data types"; the value is numpy's name for the same.
NUMPY_DTYPES = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
}
DATATYPES = {dtype: datatype for datatype, dtype in NUMPY_DTYPES.items()}

Datatype = Literal["BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64"]
Dimension = Annotated[int, Field(ge=1, le=1 << 20)]


class TensorSpec(BaseModel, frozen=True, extra="forbid"):
    """One input or output: a static shape whose first axis is the batch of 1."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    datatype: Datatype
    shape: Annotated[tuple[Dimension, ...], Field(min_length=1, max_length=8)]

    def accepts_shape(self, shape: tuple[int, ...]) -> bool:
        """Say whether `shape` differs from ours only by axes of length one, so that a reshape keeps the meaning."""
        return tuple(n for n in shape if n != 1) == tuple(n for n in self.shape if n != 1)
