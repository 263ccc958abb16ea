"""What TensorRT takes but does slowly: advice on where a Q/DQ pair does not pay, after NVIDIA's ModelOpt and its placement guide.

github.com/NVIDIA/Model-Optimizer, modelopt/onnx/quantization, leaves these operators in float.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from compiler.graph.index import attribute
from compiler.lower.tensorrt_view import QUANTIZE, View

Found = Iterator[tuple[onnx.NodeProto, str]]
# Fewer channels than this leave an integer kernel's lanes empty; matrices likewise along either side.
MIN_CHANNELS = 16
GROUP_CHANNELS, MIN_GROUP_KERNEL = 8, 3
# From this version on an operator runs in the type that the file says.
STRONG_TYPES_SINCE = 11


def thin_convolutions(view: View) -> Found:
    """Find quantized convolutions of few channels; the model's first one has few by nature, and is fed integers at no cost."""
    inputs = {value.name for value in view.index.model.graph.input}
    for node in view.of_type({"Conv"}):
        shape = view.weight_shape(node)
        if shape is None or attribute(node, "group", 1) != 1 or view.origin(node.input[0]) in inputs:
            continue
        if min(shape[:2]) < MIN_CHANNELS:
            yield node, f"{shape[1]} channels in, {shape[0]} out"


def awkward_groups(view: View) -> Found:
    """Find quantized grouped convolutions that have no fast integer kernel."""
    for node in view.of_type({"Conv"}):
        shape = view.weight_shape(node)
        if shape is None or attribute(node, "group", 1) == 1:
            continue
        if shape[0] % GROUP_CHANNELS or min(shape[2:], default=1) < MIN_GROUP_KERNEL:
            yield node, f"{attribute(node, 'group', 1)} groups, {shape[0]} channels out, a window of {list(shape[2:])}"


def narrow_products(view: View) -> Found:
    """Find quantized products of a matrix with a vector, or with a narrow matrix."""
    for node in view.of_type({"Gemm", "MatMul"}):
        shape = view.weight_shape(node)
        if shape is None or len(shape) != 2:
            continue
        length, outputs = (shape[1], shape[0]) if node.op_type == "Gemm" and attribute(node, "transB", 0) else shape
        rows = view.rows(node.output[0])
        if rows == 1 or outputs == 1:
            yield node, f"a product with one {'row' if rows == 1 else 'column'}"
        elif min(length, outputs) < MIN_CHANNELS:
            yield node, f"a matrix of {length} x {outputs}"


def computed_weights(view: View) -> Found:
    """Find convolutions whose quantized weights are not constant."""
    for node in view.of_type({"Conv", "ConvTranspose"}):
        pair = view.dequantizer(node.input[1])
        if pair is not None and not view.is_of_constant(pair):
            yield node, f"weights {node.input[1]}, which are computed"


def wide_rest(view: View) -> Found:
    """Find a quantized graph whose rest is float32, where types are taken as written."""
    halves = [node for node in view.pairs if (scale := view.scale(node)) is not None and scale.dtype.name == "float16"]
    first = next((node for node in view.pairs if node.op_type == QUANTIZE), None)
    if view.oldest >= STRONG_TYPES_SINCE and first is not None and not halves:
        yield first, "float32 scales, so that all that is not int8 runs in float32"
