"""A planner for tests of lowerings: ranges are the least and the greatest value over a few samples, tied where operators move values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import numpy_helper

from compiler.quantize.plan import Activation, Plan, Precision, Weights, weights_of

Feed = Mapping[str, npt.NDArray[np.float32]]

MOVING = {
    *("Concat", "DepthToSpace", "Flatten", "Gather", "Identity", "Max", "MaxPool", "Min", "Pad", "ReduceMax", "ReduceMin", "Reshape"),
    *("Resize", "Slice", "SpaceToDepth", "Split", "Squeeze", "Transpose", "Unsqueeze", "AveragePool", "GlobalMaxPool"),
}
# TFLite's specification gives these their scale and zero point.
FIXED = {"Softmax": (0.0, 255 / 256), "Sigmoid": (0.0, 255 / 256), "Tanh": (-1.0, 127 / 128)}
WEIGHT_AXES = {"Conv": 0, "ConvTranspose": 1, "MatMul": 1}


def plan_of(model: onnx.ModelProto, feeds: Sequence[Feed], *, ties: bool = True, precisions: dict[str, Precision] | None = None) -> Plan:
    """Return a plan for a graph in normal form; without `ties` every tensor keeps its own range."""
    ranges = observed(model, feeds)
    for node in model.graph.node:
        if node.op_type in FIXED:
            ranges[node.output[0]] = FIXED[node.op_type]
    if ties:
        _tie(model, ranges)
    activations = {name: Activation(low=low, high=high, calibrator="minmax") for name, (low, high) in ranges.items()}
    return Plan(activations=activations, weights=_weights(model), precisions=precisions or {})


def observed(model: onnx.ModelProto, feeds: Sequence[Feed]) -> dict[str, tuple[float, float]]:
    """Return the least and the greatest value of every float tensor."""
    ranges: dict[str, tuple[float, float]] = {}
    for values in every_tensor(model, feeds):
        for name, array in values.items():
            low, high = float(array.min()), float(array.max())
            before = ranges.get(name, (low, high))
            ranges[name] = (min(low, before[0]), max(high, before[1]))
    return ranges


def every_tensor(model: onnx.ModelProto, feeds: Iterable[Feed]) -> Iterable[dict[str, npt.NDArray[np.float32]]]:
    """Yield all float tensors of each run, inputs included."""
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    outputs = {value.name for value in exposed.graph.output}
    inner = [name for node in exposed.graph.node for name in node.output if name and name not in outputs]
    exposed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inner)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(exposed.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    for feed in feeds:
        values = {**feed, **dict(zip(names, session.run(None, dict(feed)), strict=True))}
        yield {name: array for name, array in values.items() if array.dtype == np.float32}


def on_grid(model: onnx.ModelProto, plan: Plan) -> onnx.ModelProto:
    """Return the model with weights that are exactly what the plan's integers stand for."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for tensor in copy.graph.initializer:
        if (weights := plan.weights.get(tensor.name)) is not None:
            values = numpy_helper.to_array(tensor).astype(np.float32)
            along = [1] * values.ndim
            along[weights.axis] = -1
            scales = np.asarray(weights.scales, np.float32).reshape(along)
            tensor.CopyFrom(numpy_helper.from_array((weights.integers(values) * scales).astype(np.float32), tensor.name))
    return copy


def _tie(model: onnx.ModelProto, ranges: dict[str, tuple[float, float]]) -> None:
    changed = True
    while changed:
        changed = False
        for node in model.graph.node:
            names = [name for name in (*node.input, *node.output) if name in ranges]
            if node.op_type not in MOVING or len({ranges[name] for name in names}) < 2:
                continue
            both = (min(ranges[name][0] for name in names), max(ranges[name][1] for name in names))
            ranges.update(dict.fromkeys(names, both))
            changed = True


def _weights(model: onnx.ModelProto) -> dict[str, Weights]:
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    weights = {}
    for node in model.graph.node:
        if node.op_type == "Gemm":
            axis = 0 if any(attribute.name == "transB" and attribute.i for attribute in node.attribute) else 1
        elif node.op_type in WEIGHT_AXES:
            axis = WEIGHT_AXES[node.op_type]
        else:
            continue
        if (values := constants.get(node.input[1])) is not None and values.ndim > 1:
            weights[node.input[1]] = weights_of(values.astype(np.float32), axis)
    return weights
