"""Computes what depends on constants and static shapes alone, whatever its size: masks, anchors, tables of positions."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from compiler.graph.evaluate import computed, is_repeatable
from compiler.graph.index import GraphIndex, replace_nodes, set_constant
from compiler.graph.passes.port import Pass


def apply(model: onnx.ModelProto) -> None:
    """Replace each node whose inputs are constant by its results."""
    index = GraphIndex(model)
    known: dict[str, npt.NDArray[Any]] = dict(index.constants)
    found: dict[str, npt.NDArray[Any]] = {}
    kept = []
    for node in model.graph.node:
        results = _results(node, known, index)
        if results is None:
            kept.append(node)
        else:
            found.update(results)
            known.update(results)
    if found:
        replace_nodes(model, kept)
        for name, values in found.items():
            set_constant(model, name, values)


def _results(node: onnx.NodeProto, known: dict[str, npt.NDArray[Any]], index: GraphIndex) -> dict[str, npt.NDArray[Any]] | None:
    if any(name in index.outputs for name in node.output):
        return None  # what is handed out has to be written by some node
    if node.op_type == "Shape" and not node.attribute and (shape := index.shape(node.input[0])) is not None:
        return {node.output[0]: np.asarray(shape, np.int64)}
    if not is_repeatable(node) or not all(name in known for name in node.input if name):
        return None
    results = computed(node, known, list(index.model.opset_import))
    return None if results is None else dict(zip((name for name in node.output if name), results, strict=True))


FOLD_CONSTANTS = Pass("constants that are computed here once", apply)
