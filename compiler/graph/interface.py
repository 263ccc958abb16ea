"""Says what goes into a model and what comes out, and refuses what a classifier's gate could not judge."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import helper

from compiler.errors import ModelError
from contracts.tensors import DATATYPES, TensorSpec


@dataclass(frozen=True)
class Interface:
    """A classifier: one float32 input, one float32 output that holds one score for each class."""

    input: TensorSpec
    output: TensorSpec

    @property
    def classes(self) -> int:
        """Return how many classes the model tells apart."""
        return max(self.output.shape)


def interface_of(model: onnx.ModelProto, file: Path) -> Interface:
    """Return the interface of a model with static shapes; raise ModelError for one that is no classifier."""
    source, result = _only(model.graph.input, "inputs", file), _only(model.graph.output, "outputs", file)
    for name, spec in (("input", source), ("output", result)):
        if spec.datatype != "FP32":
            raise ModelError(str(file), f"{name} {spec.name}", "FP32 values", spec.datatype)
    if len([n for n in result.shape if n != 1]) != 1:
        raise ModelError(str(file), f"output {result.name}", "one score for each of two or more classes", f"shape {list(result.shape)}")
    return Interface(source, result)


def dims_of(value: onnx.ValueInfoProto) -> str:
    """Return a value's shape as people write it, such as [batch, 3, 224, 224]."""
    dims = value.type.tensor_type.shape.dim
    return "[" + ", ".join(dim.dim_param or (str(dim.dim_value) if dim.dim_value else "?") for dim in dims) + "]"


def _only(values: Iterable[onnx.ValueInfoProto], what: str, file: Path) -> TensorSpec:
    specs = [_spec(value, file) for value in values]
    if len(specs) != 1:
        raise ModelError(str(file), what, "exactly one", f"{len(specs)} ({', '.join(spec.name for spec in specs)})")
    return specs[0]


def _spec(value: onnx.ValueInfoProto, file: Path) -> TensorSpec:
    tensor = value.type.tensor_type
    shape = tuple(dim.dim_value for dim in tensor.shape.dim)
    datatype = DATATYPES.get(helper.tensor_dtype_to_np_dtype(tensor.elem_type).name) if tensor.elem_type else None
    if not shape or min(shape) < 1:
        raise ModelError(str(file), value.name, "a static shape", dims_of(value))
    if datatype is None:
        raise ModelError(str(file), value.name, f"one of {', '.join(DATATYPES.values())}", f"element type {tensor.elem_type}")
    return TensorSpec(name=value.name, datatype=datatype, shape=shape)
