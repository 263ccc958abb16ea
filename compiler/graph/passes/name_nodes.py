"""Gives every node a name of its own that people can read, so that plans, reports and errors can point at it."""

from __future__ import annotations

import onnx

from compiler.graph.passes.port import Pass

# Some exporters write the history of a tensor into its name; past this a name says what it is by operator and number instead.
MAX_CHARACTERS = 64


def apply(model: onnx.ModelProto) -> None:
    """Keep names that are unique and short; name the others in the graph's order. Inputs and outputs keep theirs in any case."""
    fixed = {value.name for group in (model.graph.input, model.graph.output) for value in group}
    taken = fixed | {name for node in model.graph.node for name in (*node.input, *node.output)}
    new: dict[str, str] = {}
    _name_nodes(model)
    for node in model.graph.node:
        for kind, names in (("in", node.input), ("out", node.output)):
            for position, name in enumerate(names):
                if len(name) > MAX_CHARACTERS and name not in fixed | new.keys():
                    new[name] = _free(f"{node.name}/{kind}{position}", taken)
                names[position] = new.get(name, name)
    for tensor in model.graph.initializer:
        tensor.name = new.get(tensor.name, tensor.name)
    for value in model.graph.value_info:
        value.name = new.get(value.name, value.name)


def _name_nodes(model: onnx.ModelProto) -> None:
    taken: set[str] = set()
    for number, node in enumerate(model.graph.node):
        is_kept = node.name and len(node.name) <= MAX_CHARACTERS
        node.name = _free(node.name if is_kept else f"{node.op_type}_{number}", taken)


def _free(wanted: str, taken: set[str]) -> str:
    """Return a name that is not taken yet, and take it."""
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    taken.add(name)
    return name


def _are_unique(model: onnx.ModelProto) -> str | None:
    names = [node.name for node in model.graph.node]
    return None if all(names) and len(set(names)) == len(names) else "a node without a name of its own"


NAME_NODES = Pass("names that tell the nodes apart", apply, _are_unique)
