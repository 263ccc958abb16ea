"""Writes an average over the whole image as the mean that it is, which then has a range of its own."""

from __future__ import annotations

import onnx

from compiler.graph.index import GraphIndex, attribute
from compiler.graph.passes.port import Pass


def apply(model: onnx.ModelProto) -> None:
    """Turn each AveragePool with one window, as large as its input and without padding, into a GlobalAveragePool."""
    index = GraphIndex(model)
    for node in model.graph.node:
        if node.op_type == "AveragePool" and _covers_everything(node, index):
            node.op_type = "GlobalAveragePool"
            del node.attribute[:]


def _covers_everything(node: onnx.NodeProto, index: GraphIndex) -> bool:
    size = (index.shape(node.input[0]) or ())[2:]
    is_padded = any(attribute(node, "pads", [])) or attribute(node, "auto_pad", b"NOTSET") not in {b"NOTSET", b"VALID"}
    is_dense = set(attribute(node, "dilations", [1])) == {1}
    return is_dense and not is_padded and tuple(attribute(node, "kernel_shape", ())) == size


WHOLE_WINDOW_POOLS = Pass("averages over windows", apply)
