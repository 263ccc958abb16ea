"""Draws what compares and chooses: comparisons, logic, selections, look-ups and orders; and what fills a tensor with what is known."""

from __future__ import annotations

from math import prod

import numpy as np

from compiler.importers.tflite.arithmetic import operand, runs_second
from compiler.importers.tflite.flatbuffer import NUMPY_TYPES, Operator
from compiler.importers.tflite.reductions import put_cast
from compiler.importers.tflite.sketch import Sketch

# A damaged file may declare any shape; no constant of a real model is made of this many equal numbers.
MAX_FILLED = 1 << 24


def select(sketch: Sketch, operator: Operator) -> None:
    """SELECT: a list of choices chooses whole rows, where there are more axes than one."""
    choice, rank = operator.inputs[0], len(sketch.tensor(operator.outputs[0]).shape)
    if len(sketch.tensor(choice).shape) != 1 or rank == 1:
        select_broadcast(sketch, operator)
        return
    rows = sketch.node("Reshape", [sketch.last(choice), sketch.fixed(np.array([-1, *[1] * (rank - 1)], np.int64), "rows")])
    sketch.put(operator.outputs[0], "Where", [rows, *(sketch.last(index) for index in operator.inputs[1:])])


def select_broadcast(sketch: Sketch, operator: Operator) -> None:
    """SELECT_V2: choice and both sides broadcast."""
    second = runs_second(sketch, operator)
    sketch.put(operator.outputs[0], "Where", [operand(sketch, index, second=second) for index in operator.inputs], second=second)


def not_equal(sketch: Sketch, operator: Operator) -> None:
    """NOT_EQUAL."""
    second = runs_second(sketch, operator)
    same = sketch.node("Equal", [operand(sketch, index, second=second) for index in operator.inputs])
    sketch.put(operator.outputs[0], "Not", [same], second=second)


def floor_div(sketch: Sketch, operator: Operator) -> None:
    """FLOOR_DIV: rounds down, also below zero."""
    second = runs_second(sketch, operator)
    inputs = [operand(sketch, index, second=second) for index in operator.inputs]
    if sketch.tensor(operator.outputs[0]).datatype.startswith("FLOAT"):
        sketch.put(operator.outputs[0], "Floor", [sketch.node("Div", inputs)], second=second)
    else:  # ONNX divides integers towards zero
        whole = sketch.node("Sub", [inputs[0], sketch.node("Mod", inputs)])
        sketch.put(operator.outputs[0], "Div", [whole, inputs[1]], second=second)


def floor_mod(sketch: Sketch, operator: Operator) -> None:
    """FLOOR_MOD: the rest has the divisor's sign."""
    second = runs_second(sketch, operator)
    inputs = [operand(sketch, index, second=second) for index in operator.inputs]
    if sketch.tensor(operator.outputs[0]).datatype.startswith("FLOAT"):
        times = sketch.node("Floor", [sketch.node("Div", inputs)])
        sketch.put(operator.outputs[0], "Sub", [inputs[0], sketch.node("Mul", [times, inputs[1]])], second=second)
    else:
        sketch.put(operator.outputs[0], "Mod", inputs, second=second)


def fill(sketch: Sketch, operator: Operator) -> None:
    """FILL: the shape is static, so that one known value makes a constant."""
    shape, value = _bounded_shape(sketch, operator), sketch.constant(operator.inputs[1])
    if value is not None:
        sketch.fold(operator.outputs[0], np.full(shape, value.ravel()[0], value.dtype))
    else:
        sketch.put(operator.outputs[0], "Expand", [sketch.last(operator.inputs[1]), sketch.fixed(np.array(shape, np.int64), "shape")])


def zeros(sketch: Sketch, operator: Operator) -> None:
    """ZEROS_LIKE."""
    datatype = NUMPY_TYPES[sketch.tensor(operator.outputs[0]).datatype]
    sketch.fold(operator.outputs[0], np.zeros(_bounded_shape(sketch, operator), datatype))


def rank(sketch: Sketch, operator: Operator) -> None:
    """RANK: a constant, for shapes are static."""
    sketch.fold(operator.outputs[0], np.array(len(sketch.tensor(operator.inputs[0]).shape), np.int32))


def range_(sketch: Sketch, operator: Operator) -> None:
    """RANGE from start to limit by delta."""
    start, limit, delta = (sketch.constant_of(operator, place, "start, limit and delta").ravel()[0] for place in range(3))
    (size,) = _bounded_shape(sketch, operator)
    if delta == 0 or -((start - limit) // delta) != size:
        sketch.refuse(operator, f"{size} steps, as its result has", f"from {start} to {limit} by {delta}")
    sketch.fold(operator.outputs[0], (start + delta * np.arange(size)).astype(start.dtype))


def gather_nd(sketch: Sketch, operator: Operator) -> None:
    """GATHER_ND: the last axis of the indices says where to look."""
    where = sketch.node("Cast", [sketch.last(operator.inputs[1])], to=7)
    sketch.put(operator.outputs[0], "GatherND", [sketch.last(operator.inputs[0]), where])


def embedding(sketch: Sketch, operator: Operator) -> None:
    """EMBEDDING_LOOKUP: rows of a table, by number."""
    sketch.put(operator.outputs[0], "Gather", [sketch.last(operator.inputs[1]), sketch.last(operator.inputs[0])], axis=0)


def one_hot(sketch: Sketch, operator: Operator) -> None:
    """ONE_HOT: indices, depth, value on and value off."""
    indices, depth, is_on, is_off = (sketch.last(index) for index in operator.inputs)
    lone = sketch.fixed(np.array([1], np.int64), "lone")
    values = sketch.node("Concat", [sketch.node("Reshape", [name, lone]) for name in (is_off, is_on)], axis=0)
    sketch.put(operator.outputs[0], "OneHot", [indices, depth, values], axis=sketch.options(operator, "OneHotOptions").axis)


def top_k(sketch: Sketch, operator: Operator) -> None:
    """TOPK_V2 along the last axis: values, and their places."""
    count = sketch.constant_of(operator, 1, "count").ravel()[:1].astype(np.int64)
    values, places = sketch.nodes("TopK", [sketch.last(operator.inputs[0]), sketch.fixed(count, "count")], 2)
    sketch.bind(operator.outputs[0], values)
    put_cast(sketch, operator, places, operator.outputs[1])


def reverse(sketch: Sketch, operator: Operator) -> None:
    """REVERSE_V2 along constant axes."""
    axes = sketch.constant_of(operator, 1, "of axes").ravel().astype(np.int64)
    # Both ends lie beyond the last and the first place.
    ends = [np.full(len(axes), -1, np.int64), np.full(len(axes), np.iinfo(np.int64).min, np.int64), axes, np.full(len(axes), -1, np.int64)]
    sketch.put(operator.outputs[0], "Slice", [sketch.last(operator.inputs[0]), *(sketch.fixed(values, "bounds") for values in ends)])


def cumulated(sketch: Sketch, operator: Operator) -> None:
    """CUMSUM along a constant axis."""
    options, axis = sketch.options(operator, "CumsumOptions"), sketch.constant_of(operator, 1, "axis").ravel()[0]
    inputs = [sketch.last(operator.inputs[0]), sketch.fixed(np.array(axis, np.int64), "axis")]
    sketch.put(operator.outputs[0], "CumSum", inputs, exclusive=int(options.exclusive), reverse=int(options.reverse))


def _bounded_shape(sketch: Sketch, operator: Operator) -> tuple[int, ...]:
    shape = sketch.tensor(operator.outputs[0]).shape
    if prod(shape) > MAX_FILLED:
        sketch.refuse(operator, f"a result of at most {MAX_FILLED} numbers", str(list(shape)))
    return shape
