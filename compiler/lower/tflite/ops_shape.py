"""Lowers what moves elements without changing them; most of it moves nothing at all, and only changes where a tensor is said to lie."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from compiler.lower.tflite.build import Build
from compiler.lower.tflite.ir import Array, Tensor, constant, index
from compiler.lower.tflite.kinds import Kind
from compiler.lower.tflite.node import Node
from compiler.lower.tflite.view import Fold, View, as_is, channels_last, reshapable


def identity(node: Node, build: Build) -> None:
    """Lower Identity and Dropout, which do nothing at inference."""
    build.bind(node.outputs[0], build.raw_view(node.inputs[0]))


def transpose(node: Node, build: Build) -> None:
    """Lower Transpose: remember it."""
    view = build.view(node.inputs[0])
    moves = node.integers("perm", tuple(reversed(range(len(view.order)))))
    build.bind(node.outputs[0], View(view.tensor, tuple(moves.index(axis) for axis in view.order)))


def reshape(node: Node, build: Build) -> None:
    """Lower Reshape, Flatten, Squeeze and Unsqueeze; the shape that results says all."""
    target, name = build.shape(node, node.outputs[0]), node.outputs[0]
    numbers = build.whole(node.inputs[0])
    if numbers is not None:
        build.emit_whole(Kind.RESHAPE, [numbers, index("shape", target)], target, numbers.element, name)
        return
    view = build.view(node.inputs[0])
    moved = build.reshaped(view, target)
    if moved is None and len(target) == 2 and view.order[0] == 0 and view.shape[0] == target[0]:
        # A flattened image usually goes to a dense layer, whose weights can be put in the order of memory instead.
        moved = View(build.emit_reshape(view.tensor, target), as_is(2), Fold(view.shape, view.order))
    if moved is None:
        order = reshapable(view.shape, view.order, target)
        moved = build.reshaped(View(build.arranged(view, order), order), target)
    assert moved is not None  # in that order it can be
    build.bind(name, moved)


def concat(node: Node, build: Build) -> None:
    """Lower Concat; all parts lie as the first one that is computed."""
    names = [name for name in node.inputs if name]
    views = [build.view(name) for name in names]
    leader = next((view for name, view in zip(names, views, strict=True) if build.known(name) is None), views[0])
    axis = leader.order.index(node.axis(len(leader.order), 0))
    build.finish(node, Kind.CONCATENATION, [build.arranged(view, leader.order) for view in views], leader.order, {"axis": axis})


def split(node: Node, build: Build) -> None:
    """Lower Split to SPLIT, or SPLIT_V for parts of unequal sizes."""
    view = build.view(node.inputs[0])
    axis = node.axis(len(view.order), 0)
    shapes = [build.shape(node, name) for name in node.outputs]
    sizes, place = [shape[axis] for shape in shapes], view.order.index(axis)
    outputs = [(tuple(shape[each] for each in view.order), name) for shape, name in zip(shapes, node.outputs, strict=True)]
    if len(set(sizes)) == 1:
        inputs, kind = [index("axis", place), view.tensor], Kind.SPLIT
    else:
        inputs, kind = [view.tensor, index("sizes", sizes), index("axis", place)], Kind.SPLIT_V
    for name, part in zip(node.outputs, build.emit_all(kind, inputs, outputs, {"numSplits": len(sizes)}), strict=True):
        build.bind(name, View(part, view.order))


def slice_(node: Node, build: Build) -> None:
    """Lower Slice with constant bounds to SLICE, or STRIDED_SLICE where it leaves elements out."""
    view, shape = build.view(node.inputs[0]), build.shape(node, node.inputs[0])
    rank = len(shape)
    starts, ends = _integers(node, build, 1, "starts"), _integers(node, build, 2, "ends")
    axes = _integers(node, build, 3, "axes") or list(range(len(starts)))
    steps = _integers(node, build, 4, "steps") or [1] * len(starts)
    ranges = [range(size) for size in shape]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        ranges[axis % rank] = range(shape[axis % rank])[slice(start, end if end > -(2**31) else None, step)]
    _cut(node, build, view, [ranges[axis] for axis in view.order])


def _cut(node: Node, build: Build, view: View, ranges: list[range]) -> None:
    """Emit the slice whose elements along each axis of memory are `ranges`."""
    begin, steps = index("begin", [each.start for each in ranges]), [each.step for each in ranges]
    if all(step == 1 for step in steps):
        build.finish(node, Kind.SLICE, [view.tensor, begin, index("size", [len(each) for each in ranges])], view.order)
        return
    # Downwards to the first element, the end lies before it: TFLite reads -1 as the last, so the mask says "all".
    end = index("end", [max(each.stop, 0) for each in ranges])
    mask = sum(1 << axis for axis, each in enumerate(ranges) if each.stop < 0)
    build.finish(node, Kind.STRIDED_SLICE, [view.tensor, begin, end, index("steps", steps)], view.order, {"endMask": mask})


def gather(node: Node, build: Build) -> None:
    """Lower Gather with constant indices: one index to SLICE, more to GATHER."""
    indices = build.known(node.inputs[1])
    if build.whole(node.inputs[1]) is not None:
        _looked_up(node, build)
        return
    view = build.view(node.inputs[0])
    axis = node.axis(len(view.order), 0)
    if indices is None:
        raise node.refusal("indices that are computed, not constant")
    if indices.ndim > 1:
        _gathered_table(node, build, indices)
        return
    wanted = indices.astype(np.int64).ravel() % view.shape[axis]
    place = view.order.index(axis)
    memory = tuple(len(wanted) if each == place else size for each, size in enumerate(view.tensor.shape))
    if len(wanted) == 1:
        begin = index("begin", [int(wanted[0]) if each == place else 0 for each in range(len(memory))])
        made = build.emit(Kind.SLICE, [view.tensor, begin, index("size", memory)], memory, node.outputs[0])
    else:
        made = build.emit(Kind.GATHER, [view.tensor, index("indices", wanted)], memory, node.outputs[0], {"axis": place})
    kept = View(made, view.order)
    if indices.ndim == 1:
        build.bind(node.outputs[0], kept)
        return
    dropped = build.reshaped(kept, build.shape(node, node.outputs[0]))
    assert dropped is not None  # the axis that goes has length 1
    build.bind(node.outputs[0], dropped)


def _looked_up(node: Node, build: Build) -> None:
    """Take the rows of a table that the model's input names."""
    table, numbers = build.view(node.inputs[0]), build.whole(node.inputs[1])
    assert numbers is not None
    tensor, rank = build.arranged(table, as_is(len(table.order))), len(build.shape(node, node.outputs[0]))
    build.finish(node, Kind.GATHER, [tensor, numbers], as_is(rank), {"axis": node.axis(len(table.order), 0)})


def _gathered_table(node: Node, build: Build, indices: Array) -> None:
    """Gather by a constant of several axes: by all its numbers in a row, which a reshape then puts in place."""
    view = build.view(node.inputs[0])
    axis = node.axis(len(view.order), 0)
    wanted = indices.astype(np.int64).ravel() % view.shape[axis]
    tensor = build.arranged(view, as_is(len(view.order)))
    memory = (*view.shape[:axis], len(wanted), *view.shape[axis + 1 :])
    made = build.emit(Kind.GATHER, [tensor, index("indices", wanted)], memory, node.outputs[0], {"axis": axis})
    shape = build.shape(node, node.outputs[0])
    build.bind(node.outputs[0], View(build.emit_reshape(made, shape), as_is(len(shape))))


def cast(node: Node, build: Build) -> None:
    """Lower Cast: of floats to floats it does nothing, of whole numbers to floats it is TFLite's CAST."""
    numbers, target = build.whole(node.inputs[0]), node.integer("to", 0)
    name = node.outputs[0]
    if numbers is None and target == TensorProto.FLOAT:
        build.bind(name, build.raw_view(node.inputs[0]))
    elif numbers is not None and target == TensorProto.FLOAT:
        rank = len(numbers.shape)
        build.finish(node, Kind.CAST, [numbers], as_is(rank))
    elif numbers is not None and target in {TensorProto.INT32, TensorProto.INT64}:
        build.bind_whole(name, numbers)
    else:
        raise node.refusal(f"a cast to {TensorProto.DataType.Name(target)}")


def pad(node: Node, build: Build) -> None:
    """Lower Pad: zeros to PAD, other numbers to PADV2, reflections to MIRROR_PAD."""
    view, mode = build.view(node.inputs[0]), node.text("mode", "constant")
    rank = len(view.order)
    pads, axes = _integers(node, build, 1, "pads"), [axis % rank for axis in _integers(node, build, 3, "axes")] or list(range(rank))
    margins = {axis: (pads[place], pads[place + len(axes)]) for place, axis in enumerate(axes)}
    if any(min(pair) < 0 for pair in margins.values()):
        raise node.refusal(f"negative pads {pads}", "cut by a Slice instead")
    inputs: list[Tensor] = [view.tensor, index("margins", [margins.get(axis, (0, 0)) for axis in view.order])]
    filler = build.known(node.input(2)) if node.input(2) else None
    number = node.real("value", 0.0) if filler is None else float(filler.ravel()[0])
    if mode == "reflect":
        build.finish(node, Kind.MIRROR_PAD, inputs, view.order, {"mode": 0})
    elif mode != "constant":
        raise node.refusal(f"the mode {mode}", "use constant or reflect")
    elif number == 0:
        build.finish(node, Kind.PAD, inputs, view.order)
    else:
        build.finish(node, Kind.PADV2, [*inputs, constant("filler", [number])], view.order)


def depth_to_space(node: Node, build: Build) -> None:
    """Lower DepthToSpace; TFLite's is ONNX's mode DCR, so for CRD the channels are put in that sequence first."""
    view, block = build.view(node.inputs[0]), node.integer("blocksize", 1)
    order = channels_last(4)
    tensor = build.arranged(view, order)
    if node.text("mode", "DCR") == "CRD":
        sequence = np.arange(view.shape[1]).reshape(-1, block * block).transpose().ravel()
        tensor = build.emit(Kind.GATHER, [tensor, index("indices", sequence)], tensor.shape, tensor.span, {"axis": 3})
    build.finish(node, Kind.DEPTH_TO_SPACE, [tensor], order, {"blockSize": block})


def space_to_depth(node: Node, build: Build) -> None:
    """Lower SpaceToDepth."""
    order = channels_last(4)
    tensor = build.arranged(build.view(node.inputs[0]), order)
    build.finish(node, Kind.SPACE_TO_DEPTH, [tensor], order, {"blockSize": node.integer("blocksize", 1)})


def _integers(node: Node, build: Build, place: int, attribute: str) -> list[int]:
    """Return whole numbers that are an attribute in old opsets and a constant input in new ones."""
    if not node.input(place):
        return list(node.integers(attribute, ()))
    values = build.known(node.input(place))
    if values is None:
        raise node.refusal(f"{attribute} that are computed, not constant")
    return [int(value) for value in values.ravel()]
