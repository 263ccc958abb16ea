"""Raises a model's opset to one that can say per-channel quantization, and proves of the oldest that they still compute the same."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, version_converter

from compiler.errors import ModelError
from compiler.evaluate.runner import RunError, Runner

# The oldest that ONNX Runtime runs; before opset 9 operators had other meanings, so that what is converted is compared with what it was.
OLDEST_OPSET = 7
OLDEST_CERTAIN = 9
# Since opset 13 QuantizeLinear and DequantizeLinear take an axis.
MIN_OPSET = 13
DEFAULT_DOMAINS = {"", "ai.onnx"}
TOLERANCE = 1e-3


def opset_of(model: onnx.ModelProto) -> int:
    """Return the version of ONNX's own operators that a model uses."""
    return next((entry.version for entry in model.opset_import if entry.domain in DEFAULT_DOMAINS), 1)


def upgraded(model: onnx.ModelProto, place: str) -> onnx.ModelProto:
    """Return a model of opset 13 or newer, with static shapes as the given one; raise ModelError where it cannot be had."""
    opset = opset_of(model)
    if opset >= MIN_OPSET:
        return model
    expected = f"operators that can be raised to opset {MIN_OPSET}; export the model again, with opset 17"
    try:
        made = version_converter.convert_version(model, MIN_OPSET)
        is_same = opset >= OLDEST_CERTAIN or answers_are_alike(model, made)
    except (RuntimeError, version_converter.ConvertError, RunError) as error:
        raise ModelError(place, f"opset {opset}", expected, str(error)) from error
    if not is_same:
        raise ModelError(place, f"opset {opset}", expected, "another function once they are")
    return made


def answers_are_alike(before: onnx.ModelProto, after: onnx.ModelProto) -> bool:
    """Say whether two models give the same for one random sample; raise RunError where ONNX Runtime refuses one of them."""
    random = np.random.default_rng(0)
    feed = {}
    for value in before.graph.input:
        kind = value.type.tensor_type
        shape = [dim.dim_value for dim in kind.shape.dim]
        feed[value.name] = random.uniform(0, 1, shape).astype(helper.tensor_dtype_to_np_dtype(kind.elem_type))
    expected, found = (Runner("opset", model.SerializeToString(), {}).infer(feed) for model in (before, after))
    largest = {name: float(np.abs(values).max(initial=0)) for name, values in expected.items()}
    return all(np.allclose(found[name], expected[name], rtol=TOLERANCE, atol=TOLERANCE * largest[name]) for name in expected)
