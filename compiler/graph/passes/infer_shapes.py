"""Writes down the shape and type of every tensor; refuses a graph in which one is only known while it runs."""

from __future__ import annotations

import onnx
from onnx import shape_inference

from compiler.graph.index import GraphIndex
from compiler.graph.interface import dims_of
from compiler.graph.passes.port import Pass


def apply(model: onnx.ModelProto) -> None:
    """Infer everything anew: what an earlier form of the graph said may no longer hold."""
    del model.graph.value_info[:]
    model.CopyFrom(shape_inference.infer_shapes(model, data_prop=True))


def _are_static(model: onnx.ModelProto) -> str | None:
    index = GraphIndex(model)
    for node in model.graph.node:
        for name in node.output:
            if name and index.shape(name) is None:
                known = dims_of(index.values[name]) if name in index.values else "unknown"
                advice = "; end the model before it, and choose among its results on the device"
                return f"tensor {name} of node {node.name} ({node.op_type}), whose shape is {known}{advice}"
    return None


INFER_SHAPES = Pass("a static shape for every tensor", apply, _are_static)
