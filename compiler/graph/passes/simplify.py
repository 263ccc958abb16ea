"""Folds constants, merges what is written twice and drops what changes nothing, with onnxslim."""

from __future__ import annotations

import onnx
import onnxslim

from compiler.graph.passes.port import Pass


def apply(model: onnx.ModelProto) -> None:
    """Replace the model by its smaller equivalent."""
    slim = onnxslim.slim(model)
    assert isinstance(slim, onnx.ModelProto)  # it only returns None when it writes a file
    model.CopyFrom(slim)


SIMPLIFY = Pass("a graph that onnxslim can simplify", apply)
