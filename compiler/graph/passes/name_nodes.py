"""Gives every node a name of its own, so that plans, reports and errors can point at it."""

from __future__ import annotations

import onnx

from compiler.graph.passes.port import Pass


def apply(model: onnx.ModelProto) -> None:
    """Keep names that are unique; name the others by operator and number, in the graph's order."""
    taken: set[str] = set()
    for number, node in enumerate(model.graph.node):
        name = node.name or f"{node.op_type}_{number}"
        while name in taken:
            name += f"_{number}"
        taken.add(name)
        node.name = name


def _are_unique(model: onnx.ModelProto) -> str | None:
    names = [node.name for node in model.graph.node]
    return None if all(names) and len(set(names)) == len(names) else "a node without a name of its own"


NAME_NODES = Pass("names that tell the nodes apart", apply, _are_unique)
