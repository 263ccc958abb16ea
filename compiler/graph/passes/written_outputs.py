"""Lets a node write what the graph hands out as a constant: tools that sort or convert graphs look for the writer of every output."""

from __future__ import annotations

import onnx
from onnx import helper

from compiler.graph.passes.port import Pass


def apply(model: onnx.ModelProto) -> None:
    """Rename each constant that is an output, and put an Identity between the two."""
    handed_out = {value.name for value in model.graph.output}
    names = {tensor.name: f"{tensor.name}/constant" for tensor in model.graph.initializer if tensor.name in handed_out}
    for tensor in model.graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)
    for node in model.graph.node:
        for position, name in enumerate(node.input):
            node.input[position] = names.get(name, name)
    model.graph.node.extend(helper.make_node("Identity", [constant], [output]) for output, constant in names.items())


WRITTEN_OUTPUTS = Pass("outputs that nodes write", apply)
