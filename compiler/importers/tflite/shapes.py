"""Draws what moves numbers without changing them: reshapes, slices, joins, pads and resizes. Positions are those of the file's layout."""

from __future__ import annotations

from typing import Any

import numpy as np

from compiler.importers.tflite.arithmetic import put_activated, runs_second
from compiler.importers.tflite.flatbuffer import NUMPY_TYPES, Operator
from compiler.importers.tflite.sketch import Sketch

# Where an axis of the file's layout [n, h, w, c] lies when channels are second.
AXIS_SECOND = (0, 2, 3, 1)
# A slice that runs backwards past the first element ends here.
BEFORE_FIRST = -(1 << 31)


def reshape(sketch: Sketch, operator: Operator) -> None:
    """RESHAPE, SQUEEZE, EXPAND_DIMS: the file's shapes are static, so the result's shape says it all."""
    index, shape = operator.inputs[0], sketch.tensor(operator.outputs[0]).shape
    source = sketch.tensor(index).shape
    # One pixel, or one channel: the numbers lie in the same order in both layouts, and no Transpose is needed.
    is_same_order = sketch.has_second(index) and (source[1] * source[2] == 1 or source[3] == 1)
    name = sketch.second(index) if is_same_order else sketch.last(index)
    sketch.put(operator.outputs[0], "Reshape", [name, sketch.fixed(np.array(shape, np.int64), "shape")])


def shape_of(sketch: Sketch, operator: Operator) -> None:
    """SHAPE: a constant, for shapes are static."""
    dtype = NUMPY_TYPES.get(sketch.tensor(operator.outputs[0]).datatype, "int32")
    sketch.fold(operator.outputs[0], np.array(sketch.tensor(operator.inputs[0]).shape, dtype))


def transpose(sketch: Sketch, operator: Operator) -> None:
    """TRANSPOSE."""
    order = sketch.constant_of(operator, 1, "order of axes")
    sketch.put(operator.outputs[0], "Transpose", [sketch.last(operator.inputs[0])], perm=[int(axis) for axis in order.ravel()])


def concatenation(sketch: Sketch, operator: Operator) -> None:
    """CONCATENATION."""
    options = sketch.options(operator, "ConcatenationOptions")
    second, axis = _placed_axis(sketch, operator, options.axis)
    inputs = [sketch.second(index) if second else sketch.last(index) for index in operator.inputs]
    put_activated(sketch, operator, options.fusedActivationFunction, "Concat", inputs, second=second, axis=axis)


def split(sketch: Sketch, operator: Operator) -> None:
    """SPLIT into equal parts: the axis is the first input."""
    axis = int(sketch.constant_of(operator, 0, "axis").ravel()[0])
    _split(sketch, operator, operator.inputs[1], axis)


def split_by_sizes(sketch: Sketch, operator: Operator) -> None:
    """SPLIT_V: inputs are value, sizes and axis; the results' shapes repeat the sizes."""
    axis = int(sketch.constant_of(operator, 2, "axis").ravel()[0])
    _split(sketch, operator, operator.inputs[0], axis)


def _split(sketch: Sketch, operator: Operator, index: int, axis: int) -> None:
    sizes = [sketch.tensor(result).shape[axis] for result in operator.outputs]
    inputs = [sketch.last(index), sketch.fixed(np.array(sizes, np.int64), "sizes")]
    parts = sketch.nodes("Split", inputs, len(sizes), axis=axis)
    for result, part in zip(operator.outputs, parts, strict=True):
        sketch.bind(result, part)


def pack(sketch: Sketch, operator: Operator) -> None:
    """PACK: stacks its inputs along a new axis."""
    axis = sketch.options(operator, "PackOptions").axis
    along = sketch.fixed(np.array([axis], np.int64), "axis")
    parts = [sketch.node("Unsqueeze", [sketch.last(index), along]) for index in operator.inputs]
    sketch.put(operator.outputs[0], "Concat", parts, axis=axis)


def unpack(sketch: Sketch, operator: Operator) -> None:
    """UNPACK: one result for each place along an axis."""
    axis = sketch.options(operator, "UnpackOptions").axis
    for place, result in enumerate(operator.outputs):
        sketch.put(result, "Gather", [sketch.last(operator.inputs[0]), sketch.fixed(np.array(place), "place")], axis=axis)


def slice_(sketch: Sketch, operator: Operator) -> None:
    """SLICE: begins and sizes; the result's shape repeats the sizes."""
    begins = sketch.constant_of(operator, 1, "of begins").ravel().astype(np.int64)
    ends = begins + np.array(sketch.tensor(operator.outputs[0]).shape, np.int64)
    inputs = [sketch.last(operator.inputs[0]), sketch.fixed(begins, "begins"), sketch.fixed(ends, "ends")]
    sketch.put(operator.outputs[0], "Slice", inputs)


def strided_slice(sketch: Sketch, operator: Operator) -> None:
    """STRIDED_SLICE; masks say which begins and ends do not count, and which axes vanish."""
    options = sketch.options(operator, "StridedSliceOptions")
    begins, ends, strides = (sketch.constant_of(operator, place, "of begins, ends or strides").ravel().tolist() for place in (1, 2, 3))
    if options.ellipsisMask or options.newAxisMask or options.offset:
        sketch.refuse(operator, "begins, ends and strides", "an ellipsis, a new axis or offsets")
    for axis, stride in enumerate(strides):
        if options.shrinkAxisMask & 1 << axis:
            strides[axis], ends[axis] = 1, begins[axis] + 1 if begins[axis] != -1 else np.iinfo(np.int64).max
            continue
        if options.beginMask & 1 << axis:
            begins[axis] = 0 if stride > 0 else np.iinfo(np.int64).max
        if options.endMask & 1 << axis:
            ends[axis] = np.iinfo(np.int64).max if stride > 0 else BEFORE_FIRST
    axes = list(range(len(begins)))
    inputs = [sketch.last(operator.inputs[0])]
    inputs += [sketch.fixed(np.array(values, np.int64), "bounds") for values in (begins, ends, axes, strides)]
    if not options.shrinkAxisMask:
        sketch.put(operator.outputs[0], "Slice", inputs)
        return
    shape = np.array(sketch.tensor(operator.outputs[0]).shape, np.int64)
    sketch.put(operator.outputs[0], "Reshape", [sketch.node("Slice", inputs), sketch.fixed(shape, "shape")])


def gather(sketch: Sketch, operator: Operator) -> None:
    """GATHER along one axis."""
    options = sketch.options(operator, "GatherOptions")
    if options.batchDims:
        sketch.refuse(operator, "no batch axes", f"{options.batchDims}")
    sketch.put(operator.outputs[0], "Gather", [sketch.last(index) for index in operator.inputs], axis=options.axis)


def tile(sketch: Sketch, operator: Operator) -> None:
    """TILE."""
    repeats = sketch.constant_of(operator, 1, "of repeats").astype(np.int64)
    sketch.put(operator.outputs[0], "Tile", [sketch.last(operator.inputs[0]), sketch.fixed(repeats, "repeats")])


def broadcast_to(sketch: Sketch, operator: Operator) -> None:
    """BROADCAST_TO: the result's shape says it all."""
    shape = np.array(sketch.tensor(operator.outputs[0]).shape, np.int64)
    sketch.put(operator.outputs[0], "Expand", [sketch.last(operator.inputs[0]), sketch.fixed(shape, "shape")])


def pad(sketch: Sketch, operator: Operator) -> None:
    """PAD with zeros, PADV2 with a constant: [axes, 2] of what comes before and after."""
    if len(operator.inputs) > 2:
        value = sketch.constant_of(operator, 2, "of what is padded").ravel()[:1].reshape(())
    else:
        value = np.zeros((), NUMPY_TYPES.get(sketch.tensor(operator.inputs[0]).datatype, "float32"))
    _pad(sketch, operator, [sketch.fixed(value, "padding")], mode="constant")


def mirror_pad(sketch: Sketch, operator: Operator) -> None:
    """MIRROR_PAD without repeating the border."""
    if sketch.options(operator, "MirrorPadOptions").mode != 0:
        sketch.refuse(operator, "mode REFLECT", "mode SYMMETRIC")
    _pad(sketch, operator, [], mode="reflect")


def _pad(sketch: Sketch, operator: Operator, value: list[str], **attributes: Any) -> None:
    amounts = sketch.constant_of(operator, 1, "of amounts").astype(np.int64)
    second = runs_second(sketch, operator)
    if second:
        amounts = amounts[[0, 3, 1, 2]]
    name = sketch.second(operator.inputs[0]) if second else sketch.last(operator.inputs[0])
    inputs = [name, sketch.fixed(amounts.T.ravel(), "amounts"), *value]
    sketch.put(operator.outputs[0], "Pad", inputs, second=second, **attributes)


def resize_bilinear(sketch: Sketch, operator: Operator) -> None:
    """RESIZE_BILINEAR."""
    options = sketch.options(operator, "ResizeBilinearOptions")
    _resize(sketch, operator, options, mode="linear")


def resize_nearest(sketch: Sketch, operator: Operator) -> None:
    """RESIZE_NEAREST_NEIGHBOR: rounds up where coordinates are those of centres or corners, else down."""
    options = sketch.options(operator, "ResizeNearestNeighborOptions")
    rounding = "round_prefer_ceil" if options.alignCorners or options.halfPixelCenters else "floor"
    _resize(sketch, operator, options, mode="nearest", nearest_mode=rounding)


def _resize(sketch: Sketch, operator: Operator, options: Any, **attributes: Any) -> None:
    shape = sketch.tensor(operator.outputs[0]).shape
    if len(shape) != 4:
        sketch.refuse(operator, "an image [1, height, width, channels]", f"shape {list(shape)}")
    coordinates = "align_corners" if options.alignCorners else "half_pixel" if options.halfPixelCenters else "asymmetric"
    sizes = sketch.fixed(np.array([shape[0], shape[3], shape[1], shape[2]], np.int64), "sizes")
    inputs = [sketch.second(operator.inputs[0]), "", "", sizes]
    sketch.put(operator.outputs[0], "Resize", inputs, second=True, coordinate_transformation_mode=coordinates, **attributes)


def depth_to_space(sketch: Sketch, operator: Operator) -> None:
    """DEPTH_TO_SPACE."""
    block = sketch.options(operator, "DepthToSpaceOptions").blockSize
    sketch.put(operator.outputs[0], "DepthToSpace", [sketch.second(operator.inputs[0])], second=True, blocksize=block, mode="DCR")


def space_to_depth(sketch: Sketch, operator: Operator) -> None:
    """SPACE_TO_DEPTH."""
    block = sketch.options(operator, "SpaceToDepthOptions").blockSize
    sketch.put(operator.outputs[0], "SpaceToDepth", [sketch.second(operator.inputs[0])], second=True, blocksize=block)


def _placed_axis(sketch: Sketch, operator: Operator, axis: int) -> tuple[bool, int]:
    """Return whether an operator is drawn with channels second, and where its axis lies then."""
    rank = len(sketch.tensor(operator.outputs[0]).shape)
    if not -rank <= axis < rank:
        sketch.refuse(operator, f"an axis of {rank}", str(axis))
    second = runs_second(sketch, operator)
    return second, AXIS_SECOND[axis % 4] if second else axis % rank
