"""Writes small graphs for tests, one line a node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from compiler.evaluate.runner import Runner

Floats = npt.NDArray[np.float32]


def node(operator: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    """Return a node; inputs and outputs are names between spaces, and the node's name is that of its first output."""
    return helper.make_node(operator, inputs.split(), outputs.split(), name=outputs.split()[0], **attributes)


def graph(
    nodes: Sequence[onnx.NodeProto],
    shape: Sequence[int],
    constants: Mapping[str, npt.ArrayLike],
    *,
    outputs: str = "y",
    opset: int = 13,
) -> onnx.ModelProto:
    """Return a model with the float input `x`; constants that are Python floats or lists of them become float32."""
    made = [numpy_helper.from_array(_narrow(np.asarray(value)), name) for name, value in constants.items()]
    source = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs.split()]
    body = helper.make_graph(list(nodes), "graph", [source], results, made)
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def noise(*shape: int, seed: int = 0) -> Floats:
    """Return seeded values around zero."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def answers(model: onnx.ModelProto, samples: Sequence[Floats], **options: str) -> Floats:
    """Return the first output for every sample, flat."""
    return Runner("test", model.SerializeToString(), options).run(samples)


def operators(model: onnx.ModelProto) -> list[str]:
    """Return the operators in the graph's order."""
    return [found.op_type for found in model.graph.node]


def _narrow(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return values.astype(np.float32) if values.dtype == np.float64 else values
