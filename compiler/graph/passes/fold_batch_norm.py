"""Folds BatchNormalization into the weighted operator before it, and writes one that stands alone as plain arithmetic."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from compiler.graph.index import GraphIndex, attribute, replace_nodes, set_constant
from compiler.graph.passes.port import Pass

Floats = npt.NDArray[np.float32]


def apply(model: onnx.ModelProto) -> None:
    """Rewrite every BatchNormalization; each is y = x * factor + offset for each channel."""
    while (node := _next(model)) is not None:
        index = GraphIndex(model)
        factor, offset = _line_of(node, index)
        writer = index.writers.get(node.input[0])
        if writer is not None and index.only_reader(node.input[0]) is not None and _is_foldable(writer, index):
            _fold(model, index, writer, factor, offset)
            writer.output[0] = node.output[0]
            _replace(model, node, [])
        else:
            _replace(model, node, _stand_alone(model, index, node, factor, offset))


def _next(model: onnx.ModelProto) -> onnx.NodeProto | None:
    constants = {tensor.name for tensor in model.graph.initializer}
    found = (node for node in model.graph.node if node.op_type == "BatchNormalization")
    return next((node for node in found if all(name in constants for name in node.input[1:])), None)


def _line_of(node: onnx.NodeProto, index: GraphIndex) -> tuple[Floats, Floats]:
    scale, bias, mean, variance = (index.constants[name].astype(np.float64) for name in node.input[1:5])
    factor = scale / np.sqrt(variance + attribute(node, "epsilon", 1e-5))
    return factor.astype(np.float32), (bias - mean * factor).astype(np.float32)


def _is_foldable(writer: onnx.NodeProto, index: GraphIndex) -> bool:
    """Say whether the operator's weights are its own constants, with one output channel for each of the normalization's."""
    if writer.op_type == "ConvTranspose" and attribute(writer, "group", 1) != 1:
        return False
    if writer.op_type == "Gemm" and (attribute(writer, "alpha", 1.0), attribute(writer, "beta", 1.0)) != (1.0, 1.0):
        return False
    is_weighted = writer.op_type in {"Conv", "ConvTranspose", "Gemm"}
    return is_weighted and all(name in index.constants for name in writer.input[1:] if name)


def _fold(model: onnx.ModelProto, index: GraphIndex, writer: onnx.NodeProto, factor: Floats, offset: Floats) -> None:
    """Multiply the weights' output channels; names are new, since other operators may share the old constants."""
    weights = index.constants[writer.input[1]]
    along = [1] * weights.ndim
    along[_output_axis(writer)] = -1
    has_bias = len(writer.input) > 2 and writer.input[2] != ""
    bias = index.constants[writer.input[2]].reshape(-1) if has_bias else np.zeros_like(offset)
    names = f"{writer.output[0]}/weights", f"{writer.output[0]}/bias"
    set_constant(model, names[0], (weights * factor.reshape(along)).astype(np.float32))
    set_constant(model, names[1], (bias * factor + offset).astype(np.float32))
    source = writer.input[0]
    del writer.input[:]
    writer.input.extend([source, *names])


def _output_axis(writer: onnx.NodeProto) -> int:
    if writer.op_type == "Gemm":
        return 0 if attribute(writer, "transB", 0) else 1
    return 1 if writer.op_type == "ConvTranspose" else 0


def _stand_alone(model: onnx.ModelProto, index: GraphIndex, node: onnx.NodeProto, factor: Floats, offset: Floats) -> list[onnx.NodeProto]:
    """Return a depthwise 1x1 convolution, which has a scale for each channel; for fewer than three axes a product and a sum."""
    name, source, result = node.output[0], node.input[0], node.output[0]
    axes = len(index.shape(source) or ())
    if axes >= 3:
        set_constant(model, f"{name}/weights", factor.reshape(-1, *[1] * (axes - 1)))
        set_constant(model, f"{name}/bias", offset)
        inputs = [source, f"{name}/weights", f"{name}/bias"]
        return [helper.make_node("Conv", inputs, [result], name=node.name, group=len(factor), kernel_shape=[1] * (axes - 2))]
    set_constant(model, f"{name}/factor", factor)
    set_constant(model, f"{name}/offset", offset)
    product = helper.make_node("Mul", [source, f"{name}/factor"], [f"{name}/product"])
    return [product, helper.make_node("Add", [f"{name}/product", f"{name}/offset"], [result], name=node.name)]


def _replace(model: onnx.ModelProto, node: onnx.NodeProto, others: list[onnx.NodeProto]) -> None:
    place = list(model.graph.node).index(node)
    nodes = list(model.graph.node)
    replace_nodes(model, [*nodes[:place], *others, *nodes[place + 1 :]])


def _is_gone(model: onnx.ModelProto) -> str | None:
    left = next((node for node in model.graph.node if node.op_type == "BatchNormalization"), None)
    return None if left is None else f"node {left.name} of type BatchNormalization, whose statistics are not constant"


FOLD_BATCH_NORM = Pass("normalization with constant statistics", apply, _is_gone)
