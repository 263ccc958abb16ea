"""Lowers by TensorRT's placement rules, for engines that are built on the Jetson itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import onnx
from onnx import version_converter
from onnxruntime.quantization.onnx_model import ONNXModel
from onnxruntime.transformers.float16 import convert_float_to_float16

from compiler.graph.index import GraphIndex
from compiler.lower.qdq import Placement, Style, quantized
from compiler.lower.tensorrt_view import COMMUTING, POOLS, WEIGHTED
from compiler.quantize.plan import Activation, Plan

# What reads integers by the rules below, and what moves them on its way without a pair of its own.
INTEGER = WEIGHTED | POOLS | COMMUTING | {"Add"}
# What a matrix product may go through and stay one.
RESHAPING = COMMUTING - {"MaxPool", "Slice"}
# Weights as floats with a pair are read by every TensorRT from 8.0 on; integer constants only from 10 on.
STYLE = Style(Activation.symmetric, is_unsigned=False, weights_are_float=True, biases_are_float=True)
# For TensorRT from 10 on: integer constants, and scales of half precision, which its importer before 10 takes for float32.
HALF_STYLE = replace(STYLE, weights_are_float=False)
# The first in which QuantizeLinear and DequantizeLinear have a form with half precision.
HALF_OPSET = 19


def to_int8(model: onnx.ModelProto, plan: Plan) -> onnx.ModelProto:
    """Quantize what goes into the weighted operators, with zero point 0; bias and what comes out stay float.

    TensorRT fuses the following activation in float and folds the weights' Q/DQ pair while it builds the engine:
    docs.nvidia.com/deeplearning/tensorrt, "Working with Quantized Types". The rules are those of `tensorrt_rules`.
    """
    return quantized(model, plan, _placement(model, plan), STYLE)


def to_int8_fp16(model: onnx.ModelProto, plan: Plan) -> onnx.ModelProto:
    """Quantize as `to_int8` does and write all else in half precision, as a strongly typed engine will compute it.

    Scales are half precision too: the operators around a pair take the type of its scale. Inputs and outputs stay float32.
    """
    lowered = quantized(model, plan, _placement(model, plan), HALF_STYLE)
    opset = max(entry.version for entry in lowered.opset_import if entry.domain in {"", "ai.onnx"})
    return _in_half(version_converter.convert_version(lowered, HALF_OPSET) if opset < HALF_OPSET else lowered)


def _placement(model: onnx.ModelProto, plan: Plan) -> Placement:
    index = GraphIndex(model)
    reads = {(node.name, position) for node in model.graph.node for position in _integer_inputs(node, index, plan)}
    weighted = {node.name for node in model.graph.node if node.op_type in WEIGHTED and _has_plan(node, index, plan)}
    return Placement(reads, weighted, results=set(), dropped=set())


def to_fp16(model: onnx.ModelProto, plan: Plan) -> onnx.ModelProto:  # noqa: ARG001 - fp16 needs no ranges
    """Store and compute in half precision; inputs and outputs stay float32."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return _in_half(copy)


def _in_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Change a graph to half precision but for its inputs and outputs; a number too small for it becomes its smallest, never zero."""
    lowered = convert_float_to_float16(model, keep_io_types=True)
    assert isinstance(lowered, onnx.ModelProto)
    ordered = ONNXModel(lowered)
    ordered.topological_sort()  # the converter puts its casts last, which ONNX forbids and ONNX Runtime lets pass
    sorted_model = ordered.model
    assert isinstance(sorted_model, onnx.ModelProto)
    return sorted_model


def _integer_inputs(node: onnx.NodeProto, index: GraphIndex, plan: Plan) -> Iterator[int]:
    """Yield the positions at which a node reads integers."""
    if plan.precisions.get(node.name, "int8") != "int8":
        return
    activations = [position for position, name in enumerate(node.input) if name in index.values and index.is_activation(name)]
    if node.op_type in POOLS:
        yield from activations
    elif node.op_type in WEIGHTED:
        is_product = node.op_type == "MatMul" and len(activations) == 2
        yield from (position for position in activations if position < 2 and (_has_plan(node, index, plan) or is_product))
    elif node.op_type == "Add" and len(activations) == 2 and not any(_is_of_matrices(name, index) for name in node.input):
        fused = _fused_input(node, index)
        yield from (position for position in activations if position != fused)


def _is_of_matrices(name: str, index: GraphIndex) -> bool:
    """Say whether a tensor is a matrix product, as it is or reshaped: what it is added to is a transformer's stream of tokens.

    No kernel of a convolution adds there, and a normalization reads the sum in fp16: rounding it at each layer would only cost accuracy.
    """
    while (writer := index.writers.get(name)) is not None and writer.op_type in RESHAPING:
        name = writer.input[0]
    return writer is not None and writer.op_type in {"Gemm", "MatMul"}


def _has_plan(node: onnx.NodeProto, index: GraphIndex, plan: Plan) -> bool:
    """Say whether a node multiplies by integers; a stack of matrices has no integer kernel."""
    is_planned = node.input[1] in plan.weights and plan.precisions.get(node.name, "int8") == "int8"
    return is_planned and (node.op_type != "MatMul" or index.constants[node.input[1]].ndim == 2)


def _fused_input(node: onnx.NodeProto, index: GraphIndex) -> int | None:
    """Return which input of a sum is computed by the very kernel that adds: the last weighted operator that nobody else reads.

    It stays float; the other input, the skip connection, is quantized, and its precision decides in which one the kernel writes.
    """
    order = {written: number for number, other in enumerate(index.model.graph.node) for written in other.output}
    candidates = [
        (order[name], position)
        for position, name in enumerate(node.input)
        if name in index.writers and index.writers[name].op_type in WEIGHTED and index.only_reader(name) is not None
    ]
    return max(candidates)[1] if candidates else None
