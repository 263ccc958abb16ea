"""Finds in a graph what breaks TensorRT's rules for explicit quantization: each check yields nodes and what is there."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from compiler.lower.tensorrt_view import COMMUTING, DEQUANTIZE, POINTWISE, POOLS, QUANTIZE, WEIGHTED, View

Found = Iterator[tuple[onnx.NodeProto, str]]
# From this version on integer constants can be weights, scales can be of half precision, and a pair need not say its zero point; the
# importer of version 8 reads any scale as float32, and asks for three inputs.
INTEGER_WEIGHTS_SINCE = HALF_SCALES_SINCE = PLAIN_PAIRS_SINCE = 10
MIN_OPSET = 13
# Only their kernels add a second tensor on the way out.
CONVOLUTIONS = frozenset({"Conv", "ConvTranspose"})
INTEGER_OPERATORS = frozenset(
    {
        *("ConvInteger", "DynamicQuantizeLinear", "MatMulInteger", "QGemm", "QLinearAdd", "QLinearAveragePool", "QLinearConcat"),
        *("QLinearConv", "QLinearGlobalAveragePool", "QLinearLeakyRelu", "QLinearMatMul", "QLinearMul", "QLinearSigmoid"),
    }
)


def opset(view: View) -> Found:
    """Ask for the opset that knows scales for each channel."""
    opset = max((entry.version for entry in view.index.model.opset_import if entry.domain in {"", "ai.onnx"}), default=1)
    first = next(iter(view.pairs), None)
    if opset < MIN_OPSET and first is not None:
        yield first, f"opset {opset}"


def integer_operators(view: View) -> Found:
    """Find operators that compute on integers themselves."""
    return ((node, f"operator {node.op_type}") for node in view.nodes if node.op_type in INTEGER_OPERATORS)


def types(view: View) -> Found:
    """Find values of other types than the signed ones that TensorRT takes."""
    for node in view.pairs:
        kind = view.integer_type(node)
        if kind not in {"int8", "float8_e4m3fn", "int4", "float4_e2m1fn"}:
            yield node, f"{kind} values"


def zero_points(view: View) -> Found:
    """Find zero points other than 0."""
    for node in view.pairs:
        name = node.input[2] if len(node.input) > 2 else ""
        if name and name not in view.constants:
            yield node, f"zero point {name}, which is computed"
        elif name and view.constants[name].astype(float).any():
            yield node, f"zero point {view.constants[name].reshape(-1)[0]}"


def scales(view: View) -> Found:
    """Find scales that are computed, not positive, or no floats."""
    for node in view.pairs:
        scale = view.scale(node)
        if scale is None:
            yield node, f"scale {node.input[1]}, which is computed"
        elif scale.dtype.name not in {"float32", "float16", "bfloat16"} or not (scale > 0).all():
            yield node, f"scale {scale.reshape(-1).min():g} of type {scale.dtype}"


def half_scales(view: View) -> Found:
    """Find scales of half precision that the oldest reader takes for float32."""
    for node in view.pairs:
        scale = view.scale(node)
        if scale is not None and scale.dtype.name in {"float16", "bfloat16"} and view.oldest < HALF_SCALES_SINCE:
            yield node, f"a scale of type {scale.dtype}"


def said_zero_points(view: View) -> Found:
    """Find pairs whose zero points are missing, or fewer or more than their scales."""
    for node in view.of_type({QUANTIZE, DEQUANTIZE}):
        scale = view.scale(node)
        name = node.input[2] if len(node.input) > 2 else ""
        if not name:
            if view.oldest < PLAIN_PAIRS_SINCE and not view.is_bias(node):
                yield node, "no zero point"
        elif name in view.constants and scale is not None and view.constants[name].size != scale.size:
            yield node, f"{view.constants[name].size} zero points for {scale.size} scales"


def whole_pairs(view: View) -> Found:
    """Find integers that something else than a DequantizeLinear reads."""
    for node in view.of_type({QUANTIZE}):
        for use in view.index.uses.get(node.output[0], []):
            if use.node.op_type != DEQUANTIZE and use.node.op_type not in COMMUTING:
                yield node, f"integers that {use.node.op_type} {use.node.name} reads"
        if node.output[0] in view.index.outputs:
            yield node, "integers that are an output of the model"


def channel_scales(view: View) -> Found:
    """Find weights with more or fewer scales than channels."""
    for node in view.of_type(WEIGHTED):
        pair, shape = view.dequantizer(node.input[1]), view.weight_shape(node)
        scale = None if pair is None else view.scale(pair)
        if pair is None or shape is None or scale is None or scale.size == 1:
            continue
        axis = view.axis(pair)
        if axis < len(shape) and scale.size != shape[axis]:
            yield pair, f"{scale.size} scales for {shape[axis]} channels"


def per_tensor(view: View) -> Found:
    """Find activations with several scales."""
    for node in view.pairs:
        scale = view.scale(node)
        if scale is not None and scale.size > 1 and not view.is_of_constant(node):
            yield node, f"{scale.size} scales"


def weight_axis(view: View) -> Found:
    """Find weights whose scales lie along another axis than the output channels."""
    for node in view.of_type(WEIGHTED):
        pair = view.dequantizer(node.input[1])
        scale = None if pair is None else view.scale(pair)
        if pair is not None and scale is not None and scale.size > 1:
            axis, expected = view.axis(pair), view.output_axis(node)
            if axis != expected:
                yield pair, f"axis {axis}, where {node.op_type} {node.name} has its output channels on axis {expected}"


def weight_form(view: View) -> Found:
    """Find integer weights that the oldest reader does not take."""
    for node in view.of_type(WEIGHTED):
        pair = view.dequantizer(node.input[1])
        if pair is not None and pair.input[0] in view.constants and view.oldest < INTEGER_WEIGHTS_SINCE:
            yield pair, f"weights stored as {view.constants[pair.input[0]].dtype}"


def biases(view: View) -> Found:
    """Find biases that are dequantized."""
    for node in view.of_type(WEIGHTED):
        if len(node.input) > 2 and view.dequantizer(node.input[2]) is not None:
            yield node, f"bias {node.input[2]}, which is dequantized"


def all_inputs(view: View) -> Found:
    """Find weighted operators with one quantized and one float input."""
    for node in view.of_type(WEIGHTED):
        missing = [name for name in node.input[:2] if view.dequantizer(name) is None]
        if len(missing) == 1:
            yield node, f"one float input, {missing[0]}, beside a quantized one"


def outputs(view: View) -> Found:
    """Find pairs between a weighted operator and its activation function."""
    for node in view.of_type(WEIGHTED):
        for reader in view.readers_through_pair(node.output[0]):
            if reader.op_type in POINTWISE:
                yield node, f"a Q/DQ pair between {node.op_type} and {reader.op_type} {reader.name}"


def residuals(view: View) -> Found:
    """Find sums whose skip input stays float."""
    for node in view.of_type({"Add"}):
        inputs = [name for name in node.input if name not in view.constants]
        floats = [name for name in inputs if view.dequantizer(name) is None]
        fused = [name for name in floats if view.is_quantized_product(name) and view.index.writers[name].op_type in CONVOLUTIONS]
        skipped = [name for name in floats if name not in fused] + fused[1:]
        if len(inputs) == 2 and skipped and (fused or len(floats) == 1):
            yield node, f"float input {skipped[0]}, which no kernel computes on the way"


def pools(view: View) -> Found:
    """Find means that take floats and hand on integers."""
    for node in view.of_type(POOLS):
        if view.dequantizer(node.input[0]) is None and view.readers_through_pair(node.output[0]):
            yield node, f"a float input, {node.input[0]}, before a quantized result"


def commuting(view: View) -> Found:
    """Find operators that only move values between pairs of different scales."""
    for node in view.of_type(COMMUTING):
        before, after = view.dequantizer(node.input[0]), view.quantizer(node.output[0])
        if before is not None and after is not None and not view.have_one_scale([before, after]):
            yield node, "a Q/DQ pair on both sides, with different scales"


def concatenations(view: View) -> Found:
    """Find what is joined with different scales, or only partly quantized."""
    for node in view.of_type({"Concat"}):
        pairs = [view.dequantizer(name) for name in node.input]
        quantized = [pair for pair in pairs if pair is not None]
        if quantized and len(quantized) < len(pairs):
            yield node, f"{len(quantized)} of {len(pairs)} inputs quantized"
        elif quantized and not view.have_one_scale(quantized):
            yield node, "inputs with different scales"
