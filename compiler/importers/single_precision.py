"""Makes a graph of half, brain or double precision one of 32-bit floats, from which every target's numbers are made."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, numpy_helper

OTHERS = frozenset({TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE})
# Attributes that name the type of what a node gives.
TYPE_ATTRIBUTES = frozenset({"dtype", "to", "stash_type", "output_dtype", "softmax_precision"})


def in_single_precision(model: onnx.ModelProto) -> list[str]:
    """Change every float type of the model, inputs and outputs included, and return the names of the types that were replaced."""
    found: set[int] = set()
    for tensor in _tensors(model.graph):
        if tensor.data_type in OTHERS:
            found.add(tensor.data_type)
            with np.errstate(over="ignore"):  # what only a double holds is as good as infinite
                values = np.asarray(numpy_helper.to_array(tensor)).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        if value.type.tensor_type.elem_type in OTHERS:
            found.add(value.type.tensor_type.elem_type)
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    for node in _nodes(model.graph):
        for attribute in node.attribute:
            if attribute.name in TYPE_ATTRIBUTES and attribute.type == AttributeProto.INT and attribute.i in OTHERS:
                found.add(attribute.i)
                attribute.i = TensorProto.FLOAT
    return sorted(TensorProto.DataType.Name(kind).lower() for kind in found)


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for body in [attribute.g] if attribute.type == AttributeProto.GRAPH else attribute.graphs:
                yield from _nodes(body)


def _tensors(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.TENSOR:
                yield attribute.t
            for body in [attribute.g] if attribute.type == AttributeProto.GRAPH else attribute.graphs:
                yield from _tensors(body)
