"""Brings a graph to its normal form: float weights, folded constants and normalization, names and static shapes for everything."""

from __future__ import annotations

import onnx
from onnx import helper

from compiler.graph.passes.drop_unused import DROP_UNUSED
from compiler.graph.passes.finite_constants import FINITE_CONSTANTS
from compiler.graph.passes.fold_batch_norm import FOLD_BATCH_NORM
from compiler.graph.passes.fold_constants import FOLD_CONSTANTS
from compiler.graph.passes.fold_dequantized_weights import FOLD_DEQUANTIZED_WEIGHTS
from compiler.graph.passes.infer_shapes import INFER_SHAPES
from compiler.graph.passes.lift_constants import LIFT_CONSTANTS
from compiler.graph.passes.name_nodes import NAME_NODES
from compiler.graph.passes.plain_einsum import PLAIN_EINSUM
from compiler.graph.passes.plain_gemm import PLAIN_GEMM
from compiler.graph.passes.plain_matmul import PLAIN_MATMUL
from compiler.graph.passes.simplify import SIMPLIFY
from compiler.graph.passes.whole_window_pools import WHOLE_WINDOW_POOLS
from compiler.graph.passes.written_outputs import WRITTEN_OUTPUTS

PRODUCER = "fieldfare"
PASSES = (
    FOLD_DEQUANTIZED_WEIGHTS,
    SIMPLIFY,
    LIFT_CONSTANTS,
    PLAIN_EINSUM,
    FOLD_CONSTANTS,
    FINITE_CONSTANTS,
    PLAIN_GEMM,
    PLAIN_MATMUL,
    FOLD_BATCH_NORM,
    WRITTEN_OUTPUTS,
    DROP_UNUSED,
    NAME_NODES,
    INFER_SHAPES,
    WHOLE_WINDOW_POOLS,
)


def normalise(model: onnx.ModelProto, place: str = "model") -> onnx.ModelProto:
    """Return an equivalent, smaller graph; `model` itself is left as it was.

    Every node has a name of its own, every constant is an initializer, every tensor has a static shape, and nothing is there that no
    output needs. Raises ModelError, which names `place`, for a graph that cannot be brought to that form.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for transform in PASSES:
        transform(copy, place)
    return copy


def sealed(model: onnx.ModelProto) -> bytes:
    """Return a model's file: the same graph gives the same bytes, and the oldest runtime that knows its opset can read it."""
    used = {node.domain for node in model.graph.node} | {""}
    opsets = sorted((entry for entry in model.opset_import if entry.domain in used), key=lambda entry: entry.domain)
    oldest = helper.find_min_ir_version_for(opsets, ignore_unknown=True)
    plain = onnx.ModelProto(graph=model.graph, producer_name=PRODUCER, ir_version=oldest)
    plain.opset_import.extend(opsets)
    plain.graph.ClearField("value_info")
    for part in (plain.graph, *plain.graph.node, *plain.graph.input, *plain.graph.output, *plain.graph.initializer):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    return bytes(plain.SerializeToString(deterministic=True))
