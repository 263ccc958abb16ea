"""Imports a float or dynamic-range .tflite file into one float ONNX graph with the file's own names and layout."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import onnx
from onnx import checker, shape_inference

from compiler.errors import ModelError
from compiler.importers.files import read_file
from compiler.importers.notes import noted
from compiler.importers.shapes import Shapes, check_all_used, static_shape
from compiler.importers.tflite.dilated import with_dilations
from compiler.importers.tflite.flatbuffer import FlatModel, Operator, Tensor, read_flat
from compiler.importers.tflite.operators import OPERATORS
from compiler.importers.tflite.resized import resized_shapes
from compiler.importers.tflite.sketch import Sketch
from compiler.importers.tflite.stored import check_is_float

MAX_FILE_BYTES = 1 << 32
# What drawing raises on a file whose operators contradict the shapes it declares.
_DRAWING_FAULTS = (ValueError, IndexError, TypeError, KeyError, OverflowError, MemoryError, ZeroDivisionError)


def import_tflite(file: Path, shapes: Shapes) -> onnx.ModelProto:
    """Return the model of `file`; raise ModelError naming operator or tensor, what was expected and found."""
    return import_flat(read_file(file, "a TensorFlow Lite model", MAX_FILE_BYTES), str(file), shapes)


def import_flat(raw: bytes, place: str, shapes: Shapes) -> onnx.ModelProto:
    """Return the model that the bytes of a file hold; `place` is what errors call it."""
    flat = read_flat(raw, place)
    check_is_float(flat, place)
    flat = with_dilations(_with_shapes(flat, raw, shapes, place))
    _check_operators(flat, place)
    model = _checked(_draw(flat, place), place)
    return noted(model, _notes(flat))


def _check_operators(flat: FlatModel, place: str) -> None:
    for operator in flat.operators:
        if operator.name not in OPERATORS:
            what = (
                "a custom operator, known to its author alone" if operator.name.startswith("CUSTOM") else "an operator without such a form"
            )
            found = f"{what}; replace it in the model, or cut the model before it"
            raise ModelError(place, operator.place, "an operator that has an ONNX form", found)


def _with_shapes(flat: FlatModel, raw: bytes, given: Shapes, place: str) -> FlatModel:
    """Settle every size: the inputs' by the file and `given`, the others' by asking LiteRT where the file's do not hold."""
    wanted = {}
    unused = dict(given)
    for index in flat.inputs:
        tensor = flat.tensors[index]
        dims: list[int | str | None] = [None if axis in tensor.free_axes else n for axis, n in enumerate(tensor.shape)]
        wanted[index] = static_shape(place, tensor.name, dims, unused)
    check_all_used(unused, place, [flat.tensors[index].name for index in flat.inputs])
    # A batch that is free is written as the 1 that it will be; other free sizes are written as anything.
    is_settled = all(tensor.data is not None or tensor.free_axes <= {0} for tensor in flat.tensors)
    if is_settled and all(flat.tensors[index].shape == shape for index, shape in wanted.items()):
        return flat
    resized = resized_shapes(raw, wanted, place)
    tensors = (_resized(tensor, resized.get(index)) for index, tensor in enumerate(flat.tensors))
    return replace(flat, tensors=tuple(tensors))


def _resized(tensor: Tensor, shape: tuple[int, ...] | None) -> Tensor:
    return tensor if shape is None or tensor.data is not None else replace(tensor, shape=shape)


def _draw(flat: FlatModel, place: str) -> onnx.ModelProto:
    sketch = Sketch(flat, place)
    for operator in flat.operators:
        _draw_one(sketch, operator)
    return sketch.finished()


def _draw_one(sketch: Sketch, operator: Operator) -> None:
    try:
        OPERATORS[operator.name](sketch, operator)
    except _DRAWING_FAULTS as error:
        raise ModelError(sketch.place, operator.place, "operands that fit each other", f"{type(error).__name__}: {error}") from error


def _checked(model: onnx.ModelProto, place: str) -> onnx.ModelProto:
    """Let ONNX infer every shape by itself: one that differs from the file's is an operator that was misread."""
    try:
        checker.check_model(model)
        return shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except (checker.ValidationError, shape_inference.InferenceError) as error:
        raise ModelError(place, "graph", "shapes that fit each other", str(error)) from error


def _notes(flat: FlatModel) -> list[str]:
    stored = Counter(tensor.datatype for tensor in flat.tensors if tensor.data is not None and _is_shortened(tensor))
    floats = sum(tensor.datatype == "FLOAT32" and tensor.data is not None and tensor.data.ndim > 1 for tensor in flat.tensors)
    return [
        f"weights already quantized: {count} of {floats + sum(stored.values())} weight tensors are stored as {datatype}; "
        "what that rounding lost stays lost, a float file would do better"
        for datatype, count in sorted(stored.items())
    ]


def _is_shortened(tensor: Tensor) -> bool:
    return tensor.datatype == "FLOAT16" or (tensor.quantization is not None and tensor.datatype != "FLOAT32")
