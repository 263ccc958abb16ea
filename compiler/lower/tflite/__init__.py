"""Lowers the normal-form graph and its plan to a `.tflite` file, without TensorFlow."""

from __future__ import annotations

import onnx

from compiler.lower.tflite.build import Build
from compiler.lower.tflite.edgetpu import for_edge_tpu
from compiler.lower.tflite.errors import TfliteError, UnplannedTensorError, UnsupportedOpError
from compiler.lower.tflite.form import TfliteForm, TflitePrecision
from compiler.lower.tflite.fuse import fused
from compiler.lower.tflite.node import node_of
from compiler.lower.tflite.store import Store
from compiler.lower.tflite.table import LOWERINGS
from compiler.lower.tflite.trace import Place, places_of
from compiler.lower.tflite.writer import written
from compiler.quantize.plan import Plan

__all__ = ["Place", "TfliteError", "TfliteForm", "TflitePrecision", "UnplannedTensorError", "UnsupportedOpError", "to_tflite", "traced"]


def to_tflite(model: onnx.ModelProto, plan: Plan, form: TfliteForm) -> bytes:
    """Return the file for a graph in normal form: named nodes, static shapes, constants as initializers, float weights.

    Inputs and outputs keep the names, shapes and order of axes that the model declares: an image that comes as NCHW with more than one
    channel goes through one TRANSPOSE, all that follows is NHWC. Raises UnsupportedOpError and UnplannedTensorError.
    """
    return traced(model, plan, form)[0]


def traced(model: onnx.ModelProto, plan: Plan, form: TfliteForm) -> tuple[bytes, dict[str, Place]]:
    """Return the file, and where in it the graph's own tensors lie: of names the file holds no more than runtimes need."""
    build = Build(model, plan)
    for proto in model.graph.node:
        node = node_of(proto)
        if node.op_type not in LOWERINGS:
            raise node.refusal("TFLite has no equivalent that is known here")
        build.at = node.name
        LOWERINGS[node.op_type](node, build)
    graph = build.graph()
    graph = fused(for_edge_tpu(graph) if form.for_edge_tpu else graph, plan.precisions)
    store = Store(form, plan.precisions)
    stored = store.store(graph)
    return written(stored), places_of(build.views(), store, stored)
