"""Runs a graph in float with every tensor rounded to its plan's steps: what an integer lowering must agree with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from compiler.quantize.plan import Plan
from tests.sim.float_plan import Feed, on_grid

# What lowerings apply before a result is stored, so that no rounding happens between.
ACTIVATIONS = {"Relu", "Clip"}


def simulated(model: onnx.ModelProto, plan: Plan, feeds: Sequence[Feed]) -> list[list[npt.NDArray[np.float32]]]:
    """Return the outputs of each run."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    rounded = rounded_graph(model, plan)
    session = onnxruntime.InferenceSession(rounded.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [session.run(None, dict(feed)) for feed in feeds]


def exposed(model: onnx.ModelProto, plan: Plan) -> onnx.ModelProto:
    """Return the model with every tensor that is stored as an output."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    outputs = {value.name for value in model.graph.output}
    unstored = _unstored(model)
    names = [name for node in model.graph.node for name in node.output if name in plan.activations and name not in outputs | unstored]
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return onnx.shape_inference.infer_shapes(copy)


def rounded_graph(model: onnx.ModelProto, plan: Plan) -> onnx.ModelProto:
    """Return a float graph whose tensors, weights and biases only take the values that their integers stand for."""
    return _with_rounded_activations(_with_rounded_biases(on_grid(model, plan), plan), plan)


def _with_rounded_biases(model: onnx.ModelProto, plan: Plan) -> onnx.ModelProto:
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if len(node.input) < 3 or node.input[1] not in plan.weights:
            continue
        bias = constants[node.input[2]]
        steps = plan.activations[node.input[0]].asymmetric().scale * np.asarray(plan.weights[node.input[1]].scales)
        values = np.rint(numpy_helper.to_array(bias) / steps) * steps
        bias.CopyFrom(numpy_helper.from_array(values.astype(np.float32), bias.name))
    return model


def _with_rounded_activations(model: onnx.ModelProto, plan: Plan) -> onnx.ModelProto:
    exact = _unstored(model)
    nodes: list[onnx.NodeProto] = []
    renamed = {}
    for value in model.graph.input:
        renamed[value.name] = f"{value.name}:rounded"
        nodes += _round(model, plan, value.name, renamed[value.name])
    for node in model.graph.node:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.input[:] = [renamed.get(name, name) for name in node.input]
        nodes.append(copy)
        for place, name in enumerate(node.output):
            if name in plan.activations and name not in exact:
                copy.output[place] = f"{name}:exact"
                nodes += _round(model, plan, f"{name}:exact", name)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def _unstored(model: onnx.ModelProto) -> set[str]:
    """Return the tensors that only an activation reads."""
    readers: dict[str, list[str]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node.op_type)
    alone = {name for name, kinds in readers.items() if len(kinds) == 1 and kinds[0] in ACTIVATIONS}
    return alone - {value.name for value in (*model.graph.output, *model.graph.input)}


def _round(model: onnx.ModelProto, plan: Plan, source: str, target: str) -> list[onnx.NodeProto]:
    affine = plan.activations[source.removesuffix(":exact")].asymmetric()
    scale, zero_point = f"{target}:scale", f"{target}:zero"
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(affine.scale, np.float32), scale))
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(affine.zero_point, np.int8), zero_point))
    return [
        helper.make_node("QuantizeLinear", [source, scale, zero_point], [f"{target}:steps"]),
        helper.make_node("DequantizeLinear", [f"{target}:steps", scale, zero_point], [target]),
    ]
