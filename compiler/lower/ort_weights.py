"""Lowers to ONNX Runtime's kernels with integer weights and float activations: for recurrent and attention models, or to save bytes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from compiler.graph.index import GraphIndex, attribute, replace_nodes, set_constant
from compiler.quantize.plan import Plan, weights_of

MICROSOFT = "com.microsoft"
# How many weights share a scale in int4, and the largest step on either side of 8, which stands for zero.
BLOCK = 32
INT4_ZERO, INT4_MAX = 8, 7

Floats = npt.NDArray[np.float32]
Rewrite = Callable[[onnx.ModelProto, GraphIndex, onnx.NodeProto, Plan], list[onnx.NodeProto] | None]


def to_dynamic_int8(model: onnx.ModelProto, plan: Plan) -> onnx.ModelProto:
    """Store dense and LSTM weights as int8, the dense ones by the plan; each activation is quantized by its own range while it runs."""
    return _rewritten(model, plan, lambda *parts: _recurrent(*parts) if parts[2].op_type == "LSTM" else _dynamic(*parts))


def to_int4_weights(model: onnx.ModelProto, plan: Plan) -> onnx.ModelProto:
    """Store dense weights as int4 with a scale for every 32 of them; everything is computed in float."""
    return _rewritten(model, plan, _int4)


def _rewritten(model: onnx.ModelProto, plan: Plan, rewrite: Rewrite) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
    index = GraphIndex(model)
    nodes = []
    for node in model.graph.node:
        nodes += rewrite(copy, index, node, plan) or [node]
    replace_nodes(copy, nodes)
    used = {name for node in copy.graph.node for name in node.input}
    for place in reversed([place for place, tensor in enumerate(copy.graph.initializer) if tensor.name not in used]):
        del copy.graph.initializer[place]
    return copy


def _is_dense(node: onnx.NodeProto, index: GraphIndex, plan: Plan) -> bool:
    return node.op_type in {"Gemm", "MatMul"} and node.input[1] in plan.weights and index.constants[node.input[1]].ndim == 2


def _dynamic(model: onnx.ModelProto, index: GraphIndex, node: onnx.NodeProto, plan: Plan) -> list[onnx.NodeProto] | None:
    """Return the sequence that ONNX Runtime fuses to one kernel: quantize, multiply integers, scale, add the bias."""
    if not _is_dense(node, index, plan):
        return None
    name, chosen = node.name, plan.weights[node.input[1]]
    integers = chosen.integers(index.constants[node.input[1]])
    set_constant(model, f"{name}/weights", integers if chosen.axis == 1 else integers.T.copy())
    set_constant(model, f"{name}/scales", np.asarray(chosen.scales, np.float32))
    made = [
        ("DynamicQuantizeLinear", [node.input[0]], [f"{name}/steps", f"{name}/scale", f"{name}/zero"]),
        ("MatMulInteger", [f"{name}/steps", f"{name}/weights", f"{name}/zero"], [f"{name}/sums"]),
        ("Cast", [f"{name}/sums"], [f"{name}/cast"]),
        ("Mul", [f"{name}/scale", f"{name}/scales"], [f"{name}/unit"]),
        ("Mul", [f"{name}/cast", f"{name}/unit"], [f"{name}/product"]),
    ]
    nodes = [helper.make_node(kind, inputs, outputs, name=outputs[0]) for kind, inputs, outputs in made]
    nodes[2].attribute.append(helper.make_attribute("to", onnx.TensorProto.FLOAT))
    return [*nodes, *_with_bias(node, nodes[-1])]


def _int4(model: onnx.ModelProto, index: GraphIndex, node: onnx.NodeProto, plan: Plan) -> list[onnx.NodeProto] | None:
    if not _is_dense(node, index, plan):
        return None
    values = index.constants[node.input[1]]
    rows = values if plan.weights[node.input[1]].axis == 0 else values.T  # one for each output channel
    channels, length = rows.shape
    if length < BLOCK:
        return None
    packed, scales = packed_int4(rows)
    set_constant(model, f"{node.name}/weights", packed)
    set_constant(model, f"{node.name}/scales", scales)
    inputs, attributes = [node.input[0], f"{node.name}/weights", f"{node.name}/scales"], {"K": length, "N": channels}
    product = helper.make_node(
        "MatMulNBits", inputs, [f"{node.name}/product"], name=node.name, domain=MICROSOFT, bits=4, block_size=BLOCK, **attributes
    )
    return [product, *_with_bias(node, product)]


def packed_int4(rows: Floats) -> tuple[npt.NDArray[np.uint8], Floats]:
    """Return [channels, blocks, 16] bytes, the earlier weight in the lower half of each, and the scales [channels * blocks]."""
    channels, length = rows.shape
    padded = np.pad(rows, ((0, 0), (0, -length % BLOCK))).reshape(channels, -1, BLOCK)
    reach = np.abs(padded).max(axis=2, keepdims=True)
    scales = np.where(reach > 0, reach / INT4_MAX, 1).astype(np.float32)
    steps = (np.clip(np.rint(padded / scales), -INT4_MAX, INT4_MAX) + INT4_ZERO).astype(np.uint8)
    return steps[:, :, 0::2] | (steps[:, :, 1::2] << 4), scales.reshape(-1)


def _with_bias(node: onnx.NodeProto, product: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Let the last node write what `node` wrote; return the sum with its bias if it has one."""
    if len(node.input) > 2 and node.input[2]:
        return [helper.make_node("Add", [product.output[0], node.input[2]], [node.output[0]], name=f"{node.name}/sum")]
    product.output[0] = node.output[0]
    return []


def _recurrent(model: onnx.ModelProto, index: GraphIndex, node: onnx.NodeProto, _plan: Plan) -> list[onnx.NodeProto] | None:
    """Return an LSTM with int8 weights, one scale for each row of its gates in each direction."""
    if any(name not in index.constants for name in node.input[1:3]) or attribute(node, "layout", 0):
        return None
    quantized = onnx.NodeProto()
    quantized.CopyFrom(node)
    quantized.op_type, quantized.domain = "DynamicQuantizeLSTM", MICROSOFT
    quantized.input.extend([""] * (8 - len(node.input)))
    for position in (1, 2):
        prefix = f"{node.name}/{'input' if position == 1 else 'recurrence'}"
        directions = [(weights_of(values, 0), values) for values in index.constants[node.input[position]]]
        set_constant(model, f"{prefix}/weights", np.stack([chosen.integers(values).T for chosen, values in directions]))
        set_constant(model, f"{prefix}/scales", np.asarray([chosen.scales for chosen, _ in directions], np.float32))
        set_constant(model, f"{prefix}/zeros", np.zeros((len(directions), directions[0][1].shape[0]), np.int8))
        quantized.input[position] = f"{prefix}/weights"
        quantized.input.extend([f"{prefix}/scales", f"{prefix}/zeros"])
    return [quantized]
