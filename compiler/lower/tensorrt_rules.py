"""TensorRT's rules for explicit quantization, each a check of a graph that names what breaks it and what to do.

They hold for TensorRT 8.5 to 11: docs.nvidia.com/deeplearning/tensorrt, "Working with Quantized Types". What no graph can show is not
among them: that kernels differ in the last bits, and that GPUs up to compute capability 7.5 lack some int8 kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import onnx

from compiler.graph.index import GraphIndex
from compiler.graph.passes.lift_constants import LIFT_CONSTANTS
from compiler.lower import tensorrt_advice as advice
from compiler.lower import tensorrt_checks as checks
from compiler.lower.tensorrt_view import DEQUANTIZE, QUANTIZE, View

OLDEST = 8
Level = Literal["rule", "advice"]


@dataclass(frozen=True)
class Finding:
    """One broken rule, or advice: at which node, what is there, and what to do about it."""

    rule: str
    node: str
    found: str
    advice: str
    level: Level = "rule"


Check = Callable[[View], Iterator[tuple[onnx.NodeProto, str]]]


@dataclass(frozen=True)
class Rule:
    """A sentence that must be true of every node, the check that finds where it is not, and the advice that makes it so.

    What breaks a rule is refused or wrong; what goes against advice is only slow.
    """

    id: str
    sentence: str
    advice: str
    check: Check
    level: Level = "rule"


def lint(model: onnx.ModelProto, oldest: int | None = None, level: Level = "rule") -> list[Finding]:
    """Return every broken rule, or what goes against advice, in the rules' order and then the graph's.

    `oldest` is the first TensorRT that must read the file; by default the one that `meant_for` says.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    LIFT_CONSTANTS.apply(copy)
    view = View(GraphIndex(copy), meant_for(copy) if oldest is None else oldest)
    return [
        Finding(rule.id, node.name or next(iter(node.output), node.op_type), found, rule.advice, rule.level)
        for rule in RULES
        if rule.level == level
        for node, found in rule.check(view)
    ]


def meant_for(model: onnx.ModelProto) -> int:
    """Return the oldest TensorRT that a file can be meant for: scales of half precision say 10, anything else is taken for 8."""
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    quantizers = (node for node in model.graph.node if node.op_type in {QUANTIZE, DEQUANTIZE})
    has_half = any(types.get(node.input[1]) in {onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16} for node in quantizers)
    return checks.HALF_SCALES_SINCE if has_half else OLDEST


RULES = (
    Rule("opset", "Q/DQ pairs with an axis need opset 13 or newer.", "convert the model to opset 13", checks.opset),
    Rule(
        "no-integer-operators",
        "Quantization is said by Q/DQ pairs alone.",
        "write it as pairs around float operators",
        checks.integer_operators,
    ),
    Rule("int8", "Values are int8, or one of the newer signed 8- and 4-bit types.", "quantize to int8", checks.types),
    Rule("symmetric", "Every zero point is 0.", "quantize symmetrically, with zero point 0", checks.zero_points),
    Rule("constant-scale", "Every scale is a positive float constant.", "store the scale as a positive initializer", checks.scales),
    Rule("half-scale", "Before TensorRT 10 a scale is float32.", "store float32 scales, or ask for --oldest 10", checks.half_scales),
    Rule(
        "zero-point",
        "A pair has as many zero points as scales; before TensorRT 10 it says them.",
        "give each node a zero point of 0 for every scale",
        checks.said_zero_points,
    ),
    Rule("whole-pair", "What QuantizeLinear writes goes to DequantizeLinear.", "put a DequantizeLinear behind it", checks.whole_pairs),
    Rule("per-tensor-activation", "An activation has one scale.", "quantize it with one scale for the whole tensor", checks.per_tensor),
    Rule("weight-axis", "Scales of weights lie along the output channels.", "quantize along the output channels", checks.weight_axis),
    Rule("channel-scales", "Weights have one scale, or one a channel.", "give each output channel its scale", checks.channel_scales),
    Rule(
        "float-weights",
        "Before TensorRT 10 weights are float constants with a Q/DQ pair.",
        "store float values with a QuantizeLinear, or ask for --oldest 10",
        checks.weight_form,
    ),
    Rule("float-bias", "A bias stays float.", "store the float bias, without a pair", checks.biases),
    Rule(
        "all-inputs",
        "A weighted operator has all its inputs quantized, or none.",
        "quantize activation and weights alike",
        checks.all_inputs,
    ),
    Rule(
        "no-output",
        "What a weighted operator hands to an activation function stays float.",
        "put the pair behind the activation function",
        checks.outputs,
    ),
    Rule(
        "residual",
        "A sum's skip input is quantized; only the product that the same kernel computes is not.",
        "put a Q/DQ pair on it",
        checks.residuals,
    ),
    Rule("pool-input", "A mean that hands on integers also takes them.", "put a Q/DQ pair on its input", checks.pools),
    Rule("commuting", "Operators that only move values need no pair of their own.", "remove the pair behind it", checks.commuting),
    Rule("concat", "What is concatenated has one scale.", "quantize all inputs with the largest of the scales", checks.concatenations),
    Rule(
        "thin-convolution",
        "A convolution of fewer than 16 channels gains nothing from int8.",
        "leave it in float",
        advice.thin_convolutions,
        "advice",
    ),
    Rule(
        "awkward-groups",
        "A grouped convolution pays with a multiple of 8 channels and a window of 3 or more.",
        "leave it in float",
        advice.awkward_groups,
        "advice",
    ),
    Rule(
        "narrow-product",
        "A product with a vector, or with a matrix narrower than 16, gains nothing from int8.",
        "leave it in float",
        advice.narrow_products,
        "advice",
    ),
    Rule("computed-weights", "Weights are constant.", "leave the convolution in float", advice.computed_weights, "advice"),
    Rule(
        "half-rest",
        "From TensorRT 11 on types are taken as written.",
        "write what is not int8 in float16, scales included",
        advice.wide_rest,
        "advice",
    ),
)
