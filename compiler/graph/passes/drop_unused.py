"""Drops nodes, constants and notes on shapes that no output of the graph depends on."""

from __future__ import annotations

import onnx

from compiler.graph.index import replace_nodes
from compiler.graph.passes.port import Pass


def apply(model: onnx.ModelProto) -> None:
    """Keep what the outputs need; a graph's inputs stay, read or not, since callers send them."""
    graph = model.graph
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed |= set(node.input)
    replace_nodes(model, kept[::-1])
    for values in (graph.initializer, graph.value_info):
        dead = [index for index, value in enumerate(values) if value.name not in needed]
        for index in reversed(dead):
            del values[index]


def _is_sorted(model: onnx.ModelProto) -> str | None:
    """Say which node comes before what it reads: the walk above relies on the order that ONNX asks for."""
    written = {value.name for group in (model.graph.input, model.graph.initializer) for value in group} | {""}
    for node in model.graph.node:
        early = next((name for name in node.input if name not in written), None)
        if early is not None:
            return f"node {node.name} before tensor {early} is written"
        written |= set(node.output)
    return None


DROP_UNUSED = Pass("nodes in the order in which they run", apply, _is_sorted)
