"""Lowers what repeats elements, or writes some of them at constant places."""

from __future__ import annotations

import math

import numpy as np

from compiler.lower.tflite.build import Build
from compiler.lower.tflite.ir import Tensor, index
from compiler.lower.tflite.kinds import Kind
from compiler.lower.tflite.node import Node
from compiler.lower.tflite.view import View, as_is


def expand(node: Node, build: Build) -> None:
    """Lower Expand and Tile: axes that grow are repeated, the others stay where they lie."""
    result = build.shape(node, node.outputs[0])
    view = build.view(node.inputs[0])
    lifted = build.reshaped(view, (1,) * (len(result) - len(view.order)) + view.shape)
    assert lifted is not None  # leading axes of length 1 move nothing
    repeats = [result[axis] // lifted.shape[axis] for axis in lifted.order]
    if all(count == 1 for count in repeats):
        build.bind(node.outputs[0], lifted)
        return
    build.finish(node, Kind.TILE, [lifted.tensor, index("repeats", repeats)], lifted.order)


def scatter(node: Node, build: Build) -> None:
    """Lower ScatterND at constant places: of the old and the new elements in one row, GATHER takes each place's own."""
    places = build.known(node.inputs[1])
    if places is None or node.text("reduction", "none") != "none":
        raise node.refusal("places that are computed, or a sum over them", "write constant places")
    shape = build.shape(node, node.inputs[0])
    depth = places.shape[-1]
    slices, size = math.prod(shape[:depth]), math.prod(shape[depth:])
    wanted = places.reshape(-1, depth).astype(np.int64) % np.asarray(shape[:depth])
    sources = np.arange(slices)
    sources[np.ravel_multi_index(tuple(wanted.T), shape[:depth])] = slices + np.arange(len(wanted))
    old, new = (_rows(build, name, size) for name in (node.inputs[0], node.inputs[2]))
    span = build.meaning(node.outputs[0])
    both = build.emit(Kind.CONCATENATION, [old, new], (slices + len(wanted), size), span, {"axis": 0})
    made = build.emit(Kind.GATHER, [both, index("sources", sources)], (slices, size), node.outputs[0], {"axis": 0})
    build.bind(node.outputs[0], View(build.emit_reshape(made, shape), as_is(len(shape))))


def gather_nd(node: Node, build: Build) -> None:
    """Lower GatherND at constant places: GATHER of rows that hold what the places do not choose among."""
    places = build.known(node.inputs[1])
    if places is None or node.integer("batch_dims", 0) != 0:
        raise node.refusal("places that are computed, or of each batch its own", "write constant places")
    shape, result = build.shape(node, node.inputs[0]), build.shape(node, node.outputs[0])
    depth = places.shape[-1]
    wanted = places.reshape(-1, depth).astype(np.int64) % np.asarray(shape[:depth])
    sources = np.ravel_multi_index(tuple(wanted.T), shape[:depth])
    size = math.prod(shape[depth:])
    rows = _rows(build, node.inputs[0], size)
    made = build.emit(Kind.GATHER, [rows, index("sources", sources)], (len(sources), size), node.outputs[0], {"axis": 0})
    build.bind(node.outputs[0], View(build.emit_reshape(made, result), as_is(len(result))))


def _rows(build: Build, name: str, size: int) -> Tensor:
    view = build.view(name)
    tensor = build.arranged(view, as_is(len(view.order)))
    return build.emit_reshape(tensor, (math.prod(tensor.shape) // size, size))
