"""Builds the quantization plan of a normal-form graph from the ranges of its tensors and the values of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx

from compiler.graph.index import GraphIndex, attribute
from compiler.quantize.histogram import Histogram
from compiler.quantize.plan import Activation, Plan, Precision, Weights, weights_of
from compiler.quantize.ranges import CALIBRATORS, Range
from compiler.quantize.ties import Ties

WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
# Their constants are quantized like activations.
OPERATORS_WITH_OPERANDS = frozenset({"Add", "Concat", "Div", "Max", "Min", "Mul", "Sub"})
# Where an input's own range is this much smaller than what it is joined with, sharing would cost it two bits or more: it keeps its own,
# and the lowering rescales it on the way in.
MAX_WIDENING = 4.0
# A bias as int32 with the scale of its products must not overflow; half of the range is left to the sum.
MAX_BIAS = 2**30
DENSE = frozenset({"Gemm", "MatMul"})
# Rounding a dense layer's weights in common steps may add this many times the noise that rounding its result does anyway: weights that
# are rounded for their layer's sake leave a quarter of it or less.
MAX_WEIGHT_NOISE = 2.0
# A tensor that is always zero says nothing of its scale.
ALWAYS_ZERO = Range(0.0, 1.0)
# What padding with "nothing" is written as; it becomes the lowest step.
NO_VALUE = 1e30


def build_plan(model: onnx.ModelProto, seen: Mapping[str, Histogram], calibrator: str) -> Plan:
    """Return the plan; `seen` holds the histogram of every tensor that `Ties.observed` names."""
    index = GraphIndex(model)
    ties = Ties(index)
    ranges = _joined(ties, _padded(ties, {name: CALIBRATORS[calibrator](histogram) for name, histogram in seen.items()}))
    activations = {
        name: Activation(low=ranges[source].low, high=ranges[source].high, calibrator="fixed" if source in ties.fixed else calibrator)
        for name, source in ties.source_of.items()
    }
    powers = {name: seen[source].mean_square for name, source in ties.source_of.items() if source in seen}
    weights, precisions = _weights(index, activations, powers)
    return Plan(activations={**activations, **_operands(index)}, weights=weights, precisions=precisions)


@dataclass(frozen=True)
class _Group:
    """Sources with one range; `narrowest` is the smallest span that one of them had by itself."""

    range: Range
    narrowest: float
    is_fixed: bool


def _joined(ties: Ties, ranges: Mapping[str, Range]) -> dict[str, Range]:
    """Give what is joined the range of its parts, and the parts the range of the whole where that is not much wider."""
    groups = {name: _Group(found, _span(found), False) for name, found in ranges.items()}
    groups |= {name: _Group(found, _span(found), True) for name, found in ties.fixed.items()}
    leader = {name: name for name in ties.source_of.values()}

    def lead(name: str) -> str:
        while leader[name] != name:
            name = leader[name]
        return name

    for node in ties.joins:
        result = ties.source_of[node.output[0]]
        parts = list(dict.fromkeys(lead(ties.source_of[name]) for name in node.input if name in ties.source_of))
        constants = [_range_of(ties.index, name) for name in node.input if name in ties.index.constants]
        whole = _union(*(groups[part].range for part in parts), *constants)
        groups[result] = _Group(whole, _span(whole), False)
        for part in (part for part in parts if not groups[part].is_fixed):
            narrowest = min(groups[result].narrowest, groups[part].narrowest)
            if _span(groups[result].range) <= MAX_WIDENING * narrowest:
                groups[result] = replace(groups[result], narrowest=narrowest)
                leader[part] = result
    return {name: groups[lead(name)].range for name in leader}


def _padded(ties: Ties, ranges: Mapping[str, Range]) -> dict[str, Range]:
    """Let a range hold what padding writes into the tensor; give one to tensors that are always zero."""
    found = {name: ALWAYS_ZERO if low == high == 0 else Range(low, high) for name, (low, high) in ranges.items()}
    for node in ties.index.model.graph.node:
        source = ties.source_of.get(node.output[0])
        if node.op_type == "Pad" and source in found and len(node.input) > 2 and node.input[2] in ties.index.constants:
            value = float(ties.index.constants[node.input[2]].reshape(-1)[0])
            if abs(value) < NO_VALUE:
                found[source] = _union(found[source], Range(value, value))
    return found


def _operands(index: GraphIndex) -> dict[str, Activation]:
    """Return the constants that are operands: they are quantized like activations, by their exact range."""
    names = {name for node in index.model.graph.node if node.op_type in OPERATORS_WITH_OPERANDS for name in node.input}
    names = {name for name in names if name in index.constants and index.is_float(name)}
    ranges = {name: _range_of(index, name) for name in sorted(names)}
    return {name: Activation(low=found.low, high=found.high, calibrator="constant") for name, found in ranges.items()}


def _weights(
    index: GraphIndex, activations: Mapping[str, Activation], powers: Mapping[str, float]
) -> tuple[dict[str, Weights], dict[str, Precision]]:
    """Quantize the constants of weighted operators; one that two operators would cut along different axes leaves the second float."""
    weights: dict[str, Weights] = {}
    precisions: dict[str, Precision] = {}
    for node in index.model.graph.node:
        if node.op_type not in WEIGHTED or node.input[1] not in index.constants:
            continue
        name, axis = node.input[1], output_axis(node, index)
        if not _is_plain(node, index) or (name in weights and weights[name].axis != axis):
            precisions[node.name] = "float"
            continue
        chosen = _with_room_for_bias(weights_of(index.constants[name], axis), index, node, activations)
        if node.op_type in DENSE:
            chosen = _with_one_scale(chosen, index, node, activations, powers)
        if name in weights:
            chosen = Weights(axis=axis, scales=tuple(map(max, chosen.scales, weights[name].scales)))
        weights[name] = chosen
    return weights, precisions


def output_axis(node: onnx.NodeProto, index: GraphIndex) -> int:
    """Return the axis of a weighted operator's constant that counts its output channels."""
    if node.op_type == "Gemm":
        return 0 if attribute(node, "transB", 0) else 1
    if node.op_type == "MatMul":
        return max(index.constants[node.input[1]].ndim - 1, 0)
    return 1 if node.op_type == "ConvTranspose" else 0


def _is_plain(node: onnx.NodeProto, index: GraphIndex) -> bool:
    """Say whether an integer kernel could do it: a matrix of float weights, and no factors or turns on the way."""
    factors = (attribute(node, "alpha", 1.0), attribute(node, "beta", 1.0), attribute(node, "transA", 0))
    return index.is_float(node.input[1]) and index.constants[node.input[1]].ndim >= 2 and factors == (1.0, 1.0, 0)


def _with_room_for_bias(weights: Weights, index: GraphIndex, node: onnx.NodeProto, activations: Mapping[str, Activation]) -> Weights:
    """Widen the scales of channels whose weights are so small beside their bias that it would overflow int32."""
    bias = index.constants.get(node.input[2]) if len(node.input) > 2 else None
    source = activations.get(node.input[0])
    if bias is None or source is None or bias.shape != (len(weights.scales),):
        return weights
    least = np.abs(bias.astype(np.float64)) / (source.asymmetric().scale * MAX_BIAS)
    scales = np.maximum(np.asarray(weights.scales, np.float64), least).astype(np.float32)
    return Weights(axis=weights.axis, scales=tuple(float(scale) for scale in scales))


def _with_one_scale(
    weights: Weights, index: GraphIndex, node: onnx.NodeProto, activations: Mapping[str, Activation], powers: Mapping[str, float]
) -> Weights:
    """Give all outputs of a dense layer one scale where their own hardly matter; in a file each scale of theirs takes 16 bytes.

    Rounding of weights adds scale^2 / 12 times the power of the row that they meet, rounding of the result step^2 / 12.
    """
    power, widest = powers.get(node.input[0]), max(weights.scales)
    length = index.constants[node.input[1]].size / len(weights.scales)
    step = activations[node.output[0]].asymmetric().scale
    if power is None or widest**2 * power * length > MAX_WEIGHT_NOISE * step**2:
        return weights
    return Weights(axis=weights.axis, scales=(widest,) * len(weights.scales))


def _range_of(index: GraphIndex, constant: str) -> Range:
    values = index.constants[constant]
    return Range(float(values.min()), float(values.max()))


def _union(*ranges: Range) -> Range:
    return Range(min(found.low for found in ranges), max(found.high for found in ranges))


def _span(found: Range) -> float:
    return max(found.high, 0.0) - min(found.low, 0.0)
