"""Says what goes into a model and what comes out: names, static shapes and datatypes."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path

import onnx
from onnx import helper

from compiler.errors import ModelError
from contracts.tensors import DATATYPES, TensorSpec


@dataclass(frozen=True)
class Interface:
    """A model's inputs and outputs, in its own order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @property
    def input(self) -> TensorSpec:
        """Return the first input, which for most models is the only one."""
        return self.inputs[0]

    @property
    def output(self) -> TensorSpec:
        """Return the first output."""
        return self.outputs[0]

    @property
    def classes(self) -> int | None:
        """Return how many classes the model tells apart; None for one whose only output is no list of scores.

        A single score tells two classes apart.
        """
        size = prod(self.output.shape)
        if len(self.outputs) != 1 or max(self.output.shape) != size:
            return None
        return max(size, 2)


def interface_of(model: onnx.ModelProto, file: Path) -> Interface:
    """Return the interface of a model with static shapes; raise ModelError where one is missing or no float comes out."""
    inputs = tuple(_spec(value, file) for value in model.graph.input)
    outputs = tuple(_spec(value, file) for value in model.graph.output)
    if not inputs:
        raise ModelError(str(file), "inputs", "at least one", "none")
    for spec in outputs:
        if not spec.datatype.startswith("FP"):
            raise ModelError(str(file), f"output {spec.name}", "real values, before any choice is made", spec.datatype)
    return Interface(inputs, outputs)


def dims_of(value: onnx.ValueInfoProto) -> str:
    """Return a value's shape as people write it, such as [batch, 3, 224, 224]."""
    dims = value.type.tensor_type.shape.dim
    return "[" + ", ".join(dim.dim_param or (str(dim.dim_value) if dim.dim_value else "?") for dim in dims) + "]"


def _spec(value: onnx.ValueInfoProto, file: Path) -> TensorSpec:
    tensor = value.type.tensor_type
    shape = tuple(dim.dim_value for dim in tensor.shape.dim)
    datatype = DATATYPES.get(helper.tensor_dtype_to_np_dtype(tensor.elem_type).name) if tensor.elem_type else None
    if not shape or min(shape) < 1:
        raise ModelError(str(file), value.name, "a static shape", dims_of(value))
    if datatype is None:
        raise ModelError(str(file), value.name, f"one of {', '.join(DATATYPES.values())}", f"element type {tensor.elem_type}")
    return TensorSpec(name=value.name, datatype=datatype, shape=shape)
