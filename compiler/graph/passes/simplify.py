"""Folds constants, merges what is written twice and drops what changes nothing, with onnxslim."""

from __future__ import annotations

import onnx
import onnxslim
from onnx import checker, shape_inference

from compiler.graph.passes.port import Pass

# What onnxslim raises on graphs that are valid, but not as it expects them.
FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    checker.ValidationError,
    shape_inference.InferenceError,
)


def apply(model: onnx.ModelProto) -> None:
    """Replace the model by its smaller equivalent; one that onnxslim cannot read stays as it is, and the other passes do what they can."""
    names = [value.name for value in model.graph.input]
    try:
        slim = onnxslim.slim(model)
    except FAULTS:
        return
    assert isinstance(slim, onnx.ModelProto)  # it only returns None when it writes a file
    if [value.name for value in slim.graph.input] == names:  # callers send every input
        model.CopyFrom(slim)


SIMPLIFY = Pass("a graph that onnxslim can simplify", apply)
