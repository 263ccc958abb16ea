"""Lowers the pools; where TFLite counts padding otherwise than ONNX, the sums are corrected by a constant."""

from __future__ import annotations

import numpy as np

from compiler.lower.tflite.build import Build
from compiler.lower.tflite.images import LOWEST, as_image, bind_image, padded
from compiler.lower.tflite.ir import Floats, Padding, Tensor, constant, index
from compiler.lower.tflite.kinds import Kind
from compiler.lower.tflite.node import Node
from compiler.lower.tflite.view import as_is
from compiler.lower.tflite.window import Window, window_of
from compiler.quantize.plan import Activation


def max_pool(node: Node, build: Build) -> None:
    """Lower MaxPool to MAX_POOL_2D, padded with the lowest number where its padding is not TFLite's SAME."""
    if len(node.outputs) > 1 and node.outputs[1]:
        raise node.refusal("its second output, the places of the maxima")
    window = _window(node, build)
    if window.dilations != (1, 1):
        raise node.refusal(f"dilations {window.dilations} of a pool")
    image = as_image(build, build.view(node.input(0)))
    if window.padding is None:
        image, window = padded(build, image, window, LOWEST), window.over_padded()
    bind_image(build, node, _pooled(build, Kind.MAX_POOL_2D, image, window, node.outputs[0]))


def average_pool(node: Node, build: Build) -> None:
    """Lower AveragePool: to MEAN where one window holds everything, as that may change the scale; else to AVERAGE_POOL_2D."""
    window = _window(node, build)
    if window.dilations != (1, 1):
        raise node.refusal(f"dilations {window.dilations} of a pool")
    if window.is_whole:
        global_average_pool(node, build)
        return
    image, name = as_image(build, build.view(node.input(0))), node.outputs[0]
    factors = _corrections(window, includes_padding=node.integer("count_include_pad", 0) == 1)
    # TFLite leaves SAME padding out of the count, so there only pads that are counted need a correction.
    if window.padding is Padding.VALID or (window.padding is Padding.SAME and node.integer("count_include_pad", 0) == 0):
        bind_image(build, node, _pooled(build, Kind.AVERAGE_POOL_2D, image, window, name))
        return
    image, window = padded(build, image, window), window.over_padded()
    if np.all(factors == 1):
        bind_image(build, node, _pooled(build, Kind.AVERAGE_POOL_2D, image, window, name))
        return
    made = _pooled(build, Kind.AVERAGE_POOL_2D, image, window, image.span)
    bind_image(build, node, build.emit(Kind.MUL, [made, constant("corrections", factors)], made.shape, name))


def global_average_pool(node: Node, build: Build) -> None:
    """Lower GlobalAveragePool to MEAN."""
    _reduced_globally(node, build, Kind.MEAN)


def global_max_pool(node: Node, build: Build) -> None:
    """Lower GlobalMaxPool to REDUCE_MAX."""
    _reduced_globally(node, build, Kind.REDUCE_MAX)


def _reduced_globally(node: Node, build: Build, kind: Kind) -> None:
    view = build.view(node.input(0))
    axes = sorted(view.order.index(axis) for axis in as_is(len(view.order))[2:])
    build.finish(node, kind, [view.tensor, index("axes", axes)], view.order, {"keepDims": True})


def _window(node: Node, build: Build) -> Window:
    shape, result = build.shape(node, node.input(0)), build.shape(node, node.outputs[0])
    return window_of(node, shape[2:], result[2:], node.integers("kernel_shape", ()))


def _pooled(build: Build, kind: Kind, image: Tensor, window: Window, meaning: str | Activation | None) -> Tensor:
    assert window.padding is not None
    options = {
        "padding": window.padding,
        "strideH": window.strides[0],
        "strideW": window.strides[1],
        "filterHeight": window.kernel[0],
        "filterWidth": window.kernel[1],
    }
    return build.emit(kind, [image], (image.shape[0], *window.outputs, image.shape[3]), meaning, options)


def _corrections(window: Window, *, includes_padding: bool) -> Floats:
    """Return what the mean over whole windows, padding included, must be multiplied by: [1, H, W, 1]."""
    counts = []
    for axis in (0, 1):
        first = -window.begins[axis] if includes_padding else 0
        last = window.sizes[axis] + (window.ends[axis] if includes_padding else 0)
        starts = np.arange(window.outputs[axis]) * window.strides[axis] - window.begins[axis]
        counts.append(np.minimum(starts + window.kernel[axis], last) - np.maximum(starts, first))
    factors = np.asarray(window.kernel[0] * window.kernel[1] / np.multiply.outer(counts[0], counts[1]), np.float32)
    return factors[None, :, :, None]
