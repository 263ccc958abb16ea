"""TensorRT's rules for explicit quantization, each a check of a graph that names what breaks it and what to do.

They hold for TensorRT 8.5 to 11: docs.nvidia.com/deeplearning/tensorrt, "Working with Quantized Types". What no graph can show is not
among them: that kernels differ in the last bits, and that GPUs up to compute capability 7.5 lack some int8 kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import onnx

from compiler.graph.index import GraphIndex
from compiler.graph.passes.lift_constants import LIFT_CONSTANTS
from compiler.lower.tensorrt_view import COMMUTING, POINTWISE, POOLS, WEIGHTED, View

# From this version on integer constants can be weights.
INTEGER_WEIGHTS_SINCE = 10
MIN_OPSET = 13
# Only their kernels add a second tensor on the way out.
CONVOLUTIONS = frozenset({"Conv", "ConvTranspose"})
INTEGER_OPERATORS = frozenset(
    {
        *("ConvInteger", "DynamicQuantizeLinear", "MatMulInteger", "QGemm", "QLinearAdd", "QLinearAveragePool", "QLinearConcat"),
        *("QLinearConv", "QLinearGlobalAveragePool", "QLinearLeakyRelu", "QLinearMatMul", "QLinearMul", "QLinearSigmoid"),
    }
)


@dataclass(frozen=True)
class Finding:
    """One broken rule: at which node, what is there, and what to do about it."""

    rule: str
    node: str
    found: str
    advice: str


Check = Callable[[View], Iterator[tuple[onnx.NodeProto, str]]]


@dataclass(frozen=True)
class Rule:
    """A sentence that must be true of every node, the check that finds where it is not, and the advice that makes it so."""

    id: str
    sentence: str
    advice: str
    check: Check


def lint(model: onnx.ModelProto, oldest: int = 8) -> list[Finding]:
    """Return every broken rule, in the rules' order and then the graph's; `oldest` is the first TensorRT that must read the file."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    LIFT_CONSTANTS.apply(copy)
    view = View(GraphIndex(copy), oldest)
    return [
        Finding(rule.id, node.name or next(iter(node.output), node.op_type), found, rule.advice)
        for rule in RULES
        for node, found in rule.check(view)
    ]


def _opset(view: View) -> Iterator[tuple[onnx.NodeProto, str]]:
    opset = max((entry.version for entry in view.index.model.opset_import if entry.domain in {"", "ai.onnx"}), default=1)
    first = next(iter(view.pairs), None)
    if opset < MIN_OPSET and first is not None:
        yield first, f"opset {opset}"


def _integer_operators(view: View) -> Iterator[tuple[onnx.NodeProto, str]]:
    return ((node, f"operator {node.op_type}") for node in view.nodes if node.op_type in INTEGER_OPERATORS)


def _types(view: View) -> Iterator[tuple[onnx.NodeProto, str]]:
    for node in view.pairs:
        kind = view.integer_type(node)
        if kind not in {"int8", "float8_e4m3fn", "int4", "float4_e2m1fn"}:
            yield node, f"{kind} values"


def _zero_points(view: View) -> Iterator[tuple[onnx.NodeProto, str]]:
    for node in view.pairs:
        name = node.input[2] if len(node.input) > 2 else ""
        if name and name not in view.constants:
            yield node, f"zero point {name}, which is computed"
        elif name and view.constants[name].astype(float).any():
            yield node, f"zero point {view.constants[name].reshape(-1)[0]}"


def _scales(view: View) -> Iterator[tuple[onnx.NodeProto, str]]:
    for node in view.pairs:
        scale = view.scale(node)
        if scale is None:
            yield node, f"scale {node.input[1]}, which is computed"
        elif scale.dtype.name != "float32" or not (scale > 0).all():
            yield node, f"scale {scale.reshape(-1).min():g} of type {scale.dtype}"


def _per_tensor(view: View) -> Iterator[tuple[onnx.NodeProto, str]]:
    for node in view.pairs:
        scale = view.scale(node)
        if scale is not None and scale.size > 1 and not view.is_of_constant(node):
            yield node, f"{scale.size} scales"


def _weight_axis(view: View) -> Iterator[tuple[onnx.NodeProto, str]]:
    for node in view.of_type(WEIGHTED):
        pair = view.dequantizer(node.input[1])
        scale = None if pair is None else view.scale(pair)
        if pair is not None and scale is not None and scale.size > 1:
            axis, expected = view.axis(pair), view.output_axis(node)
            if axis != expected:
                yield pair, f"axis {axis}, where {node.op_type} {node.name} has its output channels on axis {expected}"


def _weight_form(view: View) -> Iterator[tuple[onnx.NodeProto, str]]:
    for node in view.of_type(WEIGHTED):
        pair = view.dequantizer(node.input[1])
        if pair is not None and pair.input[0] in view.constants and view.oldest < INTEGER_WEIGHTS_SINCE:
            yield pair, f"weights stored as {view.constants[pair.input[0]].dtype}"


def _biases(view: View) -> Iterator[tuple[onnx.NodeProto, str]]:
    for node in view.of_type(WEIGHTED):
        if len(node.input) > 2 and view.dequantizer(node.input[2]) is not None:
            yield node, f"bias {node.input[2]}, which is dequantized"


def _all_inputs(view: View) -> Iterator[tuple[onnx.NodeProto, str]]:
    for node in view.of_type(WEIGHTED):
        missing = [name for name in node.input[:2] if view.dequantizer(name) is None]
        if len(missing) == 1:
            yield node, f"one float input, {missing[0]}, beside a quantized one"


def _outputs(view: View) -> Iterator[tuple[onnx.NodeProto, str]]:
    for node in view.of_type(WEIGHTED):
        for reader in view.readers_through_pair(node.output[0]):
            if reader.op_type in POINTWISE:
                yield node, f"a Q/DQ pair between {node.op_type} and {reader.op_type} {reader.name}"


def _residuals(view: View) -> Iterator[tuple[onnx.NodeProto, str]]:
    for node in view.of_type({"Add"}):
        inputs = [name for name in node.input if name not in view.constants]
        floats = [name for name in inputs if view.dequantizer(name) is None]
        fused = [name for name in floats if view.is_quantized_product(name) and view.index.writers[name].op_type in CONVOLUTIONS]
        skipped = [name for name in floats if name not in fused] + fused[1:]
        if len(inputs) == 2 and skipped and (fused or len(floats) == 1):
            yield node, f"float input {skipped[0]}, which no kernel computes on the way"


def _pools(view: View) -> Iterator[tuple[onnx.NodeProto, str]]:
    for node in view.of_type(POOLS):
        if view.dequantizer(node.input[0]) is None and view.readers_through_pair(node.output[0]):
            yield node, f"a float input, {node.input[0]}, before a quantized result"


def _commuting(view: View) -> Iterator[tuple[onnx.NodeProto, str]]:
    for node in view.of_type(COMMUTING):
        before, after = view.dequantizer(node.input[0]), view.quantizer(node.output[0])
        if before is not None and after is not None and not view.have_one_scale([before, after]):
            yield node, "a Q/DQ pair on both sides, with different scales"


def _concatenations(view: View) -> Iterator[tuple[onnx.NodeProto, str]]:
    for node in view.of_type({"Concat"}):
        pairs = [view.dequantizer(name) for name in node.input]
        quantized = [pair for pair in pairs if pair is not None]
        if quantized and len(quantized) < len(pairs):
            yield node, f"{len(quantized)} of {len(pairs)} inputs quantized"
        elif quantized and not view.have_one_scale(quantized):
            yield node, "inputs with different scales"


RULES = (
    Rule("opset", "Q/DQ pairs with an axis need opset 13 or newer.", "convert the model to opset 13", _opset),
    Rule(
        "no-integer-operators", "Quantization is said by Q/DQ pairs alone.", "write it as pairs around float operators", _integer_operators
    ),
    Rule("int8", "Values are int8, or one of the newer signed 8- and 4-bit types.", "quantize to int8", _types),
    Rule("symmetric", "Every zero point is 0.", "quantize symmetrically, with zero point 0", _zero_points),
    Rule("constant-scale", "Every scale is a positive float32 constant.", "store the scale as a positive float32 initializer", _scales),
    Rule("per-tensor-activation", "An activation has one scale.", "quantize it with one scale for the whole tensor", _per_tensor),
    Rule("weight-axis", "Scales of weights lie along the output channels.", "quantize along the output channels", _weight_axis),
    Rule(
        "float-weights",
        "Before TensorRT 10 weights are float constants with a Q/DQ pair.",
        "store float values with a QuantizeLinear, or ask for --oldest 10",
        _weight_form,
    ),
    Rule("float-bias", "A bias stays float.", "store the float bias, without a pair", _biases),
    Rule("all-inputs", "A weighted operator has all its inputs quantized, or none.", "quantize activation and weights alike", _all_inputs),
    Rule(
        "no-output",
        "What a weighted operator hands to an activation function stays float.",
        "put the pair behind the activation function",
        _outputs,
    ),
    Rule(
        "residual",
        "A sum's skip input is quantized; only the product that the same kernel computes is not.",
        "put a Q/DQ pair on it",
        _residuals,
    ),
    Rule("pool-input", "A mean that hands on integers also takes them.", "put a Q/DQ pair on its input", _pools),
    Rule("commuting", "Operators that only move values need no pair of their own.", "remove the pair behind it", _commuting),
    Rule("concat", "What is concatenated has one scale.", "quantize all inputs with the largest of the scales", _concatenations),
)
