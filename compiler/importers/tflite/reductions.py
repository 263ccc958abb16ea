"""Draws what makes fewer numbers of many: means, sums, extremes, matrix products; and what changes a number's type."""

from __future__ import annotations

import numpy as np
from onnx import helper

from compiler.importers.tflite.arithmetic import Draw
from compiler.importers.tflite.flatbuffer import NUMPY_TYPES, Operator
from compiler.importers.tflite.shapes import AXIS_SECOND
from compiler.importers.tflite.sketch import Sketch

PIXELS = {1, 2}  # height and width in the file's layout


def mean(sketch: Sketch, operator: Operator) -> None:
    """MEAN; over all pixels of an image it is a global pool."""
    axes, keeps = _axes(sketch, operator)
    image = operator.inputs[0]
    if not (sketch.has_second(image) and set(axes) == PIXELS):
        _reduce(sketch, operator, "ReduceMean", axes, keeps=keeps)
    elif keeps:
        sketch.put(operator.outputs[0], "GlobalAveragePool", [sketch.second(image)], second=True)
    else:
        pooled = sketch.node("GlobalAveragePool", [sketch.second(image)])
        sketch.put(operator.outputs[0], "Flatten", [pooled])


def reduced(op_type: str) -> Draw:
    """Draw a reduction along constant axes."""

    def draw(sketch: Sketch, operator: Operator) -> None:
        axes, keeps = _axes(sketch, operator)
        _reduce(sketch, operator, op_type, axes, keeps=keeps)

    return draw


def _axes(sketch: Sketch, operator: Operator) -> tuple[list[int], bool]:
    rank = len(sketch.tensor(operator.inputs[0]).shape)
    found = [int(axis) for axis in sketch.constant_of(operator, 1, "of axes").ravel()]
    if any(not -rank <= axis < rank for axis in found):
        sketch.refuse(operator, f"axes of {rank}", str(found))
    return sorted({axis % rank for axis in found}), bool(sketch.options(operator, "ReducerOptions").keepDims)


def _reduce(sketch: Sketch, operator: Operator, op_type: str, axes: list[int], *, keeps: bool) -> None:
    second = keeps and sketch.has_second(operator.inputs[0])
    name = sketch.second(operator.inputs[0]) if second else sketch.last(operator.inputs[0])
    placed = sorted(AXIS_SECOND[axis] for axis in axes) if second else axes
    if op_type == "ReduceSum":  # the only one of them whose axes are an input in this opset
        inputs = [name, sketch.fixed(np.array(placed, np.int64), "axes")]
        sketch.put(operator.outputs[0], op_type, inputs, second=second, keepdims=int(keeps))
    else:
        sketch.put(operator.outputs[0], op_type, [name], second=second, axes=placed, keepdims=int(keeps))


def arg_extreme(op_type: str) -> Draw:
    """Draw the place of the largest or smallest number along a constant axis."""

    def draw(sketch: Sketch, operator: Operator) -> None:
        axis = int(sketch.constant_of(operator, 1, "axis").ravel()[0])
        name = sketch.node(op_type, [sketch.last(operator.inputs[0])], axis=axis, keepdims=0)
        put_cast(sketch, operator, name, operator.outputs[0])

    return draw


def batch_matmul(sketch: Sketch, operator: Operator) -> None:
    """BATCH_MATMUL; either side may come transposed."""
    options = sketch.options(operator, "BatchMatMulOptions")
    names = []
    for index, is_transposed in zip(operator.inputs, (options.adjX, options.adjY), strict=True):
        name, rank = sketch.last(index), len(sketch.tensor(index).shape)
        if is_transposed:
            name = sketch.node("Transpose", [name], perm=[*range(rank - 2), rank - 1, rank - 2])
        names.append(name)
    sketch.put(operator.outputs[0], "MatMul", names)


def cast(sketch: Sketch, operator: Operator) -> None:
    """CAST to the result's datatype."""
    put_cast(sketch, operator, sketch.last(operator.inputs[0]), operator.outputs[0])


def dequantize(sketch: Sketch, operator: Operator) -> None:
    """DEQUANTIZE of stored weights, or of what was looked up in them: both are drawn as real numbers from the start."""
    values = sketch.constant(operator.inputs[0])
    if values is not None:
        sketch.fold(operator.outputs[0], values)
    elif sketch.tensor(operator.inputs[0]).datatype == "FLOAT16":
        put_cast(sketch, operator, sketch.last(operator.inputs[0]), operator.outputs[0])
    else:
        sketch.bind(operator.outputs[0], sketch.last(operator.inputs[0]))


def put_cast(sketch: Sketch, operator: Operator, name: str, result: int) -> None:
    """Draw the cast of a value to the datatype of the tensor that it is to be."""
    datatype = sketch.tensor(result).datatype
    if datatype not in NUMPY_TYPES:
        sketch.refuse(operator, f"one of {', '.join(NUMPY_TYPES)}", datatype)
    sketch.put(result, "Cast", [name], to=helper.np_dtype_to_tensor_dtype(np.dtype(NUMPY_TYPES[datatype])))
