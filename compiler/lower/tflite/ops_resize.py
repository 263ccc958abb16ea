"""Lowers Resize: by TFLite's operator where it takes the very same pixels, nearest also by GATHER, which takes any."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from compiler.lower.tflite.build import Build
from compiler.lower.tflite.ir import Tensor, index
from compiler.lower.tflite.kinds import Kind
from compiler.lower.tflite.node import Node
from compiler.lower.tflite.view import channels_last

Places = npt.NDArray[np.float64]
# The options of TFLite's two operators, in the order in which they are tried.
OPTIONS: tuple[dict[str, bool], ...] = ({}, {"halfPixelCenters": True}, {"alignCorners": True})
CLOSE = 1e-4


def resize(node: Node, build: Build) -> None:
    """Lower Resize of the two inner axes, mode nearest or linear; refuse linear sampling that TFLite has no equal of."""
    shape, result = build.shape(node, node.inputs[0]), build.shape(node, node.outputs[0])
    mode = node.text("mode", "nearest")
    if len(shape) != 4 or shape[:2] != result[:2] or mode not in {"nearest", "linear"} or node.integer("antialias", 0):
        raise node.refusal(f"mode {mode} from {list(shape)} to {list(result)}", "resize height and width of an image, nearest or linear")
    factors = _factors(node, build, shape, result)
    wanted = [_places(node, shape[axis], result[axis], factors[axis]) for axis in (2, 3)]
    order = channels_last(4)
    image = build.arranged(build.view(node.inputs[0]), order)
    kind = Kind.RESIZE_NEAREST_NEIGHBOR if mode == "nearest" else Kind.RESIZE_BILINEAR
    for options in OPTIONS:
        offered = [_offered(kind, shape[axis], result[axis], options) for axis in (2, 3)]
        if all(np.allclose(ours, theirs, atol=CLOSE) for ours, theirs in zip(wanted, offered, strict=True)):
            build.finish(node, kind, [image, index("size", result[2:])], order, options)
            return
    if mode == "linear":
        spoken = node.text("coordinate_transformation_mode", "half_pixel")
        raise node.refusal(f"linear sampling by {spoken} from {list(shape[2:])} to {list(result[2:])}", "use half_pixel and whole sizes")
    _gather(node, build, image, wanted)


def _gather(node: Node, build: Build, image: Tensor, places: list[Places]) -> None:
    rows, columns = (index("places", axis.astype(np.int64)) for axis in places)
    batch, _, width, channels = image.shape
    tall = build.emit(Kind.GATHER, [image, rows], (batch, len(rows.values), width, channels), image.span, {"axis": 1})
    build.finish(node, Kind.GATHER, [tall, columns], channels_last(4), {"axis": 2})


def _factors(node: Node, build: Build, shape: tuple[int, ...], result: tuple[int, ...]) -> list[float]:
    """Return how many times larger each axis becomes: as given, or as the sizes make it."""
    scales = build.known(node.input(2)) if node.input(2) else None
    axes = [axis % len(shape) for axis in node.integers("axes", range(len(shape)))]
    factors = [after / before for before, after in zip(shape, result, strict=True)]
    if scales is not None and scales.size == len(axes):
        for axis, scale in zip(axes, scales.astype(np.float64).ravel(), strict=True):
            factors[axis] = float(scale)
    return factors


def _places(node: Node, size: int, count: int, factor: float) -> Places:
    """Return which place of the input ONNX takes for each output; whole ones where it takes the nearest."""
    steps, mode = np.arange(count, dtype=np.float64), node.text("coordinate_transformation_mode", "half_pixel")
    if mode == "align_corners":
        places = steps * (size - 1) / (count - 1) if count > 1 else np.zeros(1)
    elif mode == "asymmetric":
        places = steps / factor
    elif mode == "half_pixel" or (mode == "pytorch_half_pixel" and count > 1):
        places = (steps + 0.5) / factor - 0.5
    elif mode == "pytorch_half_pixel":
        places = np.zeros(1)
    else:
        raise node.refusal(f"coordinates by {mode}", "use half_pixel, asymmetric or align_corners")
    if node.text("mode", "nearest") == "linear":
        return np.clip(places, 0, size - 1)
    rounding = {
        "round_prefer_floor": np.ceil(places - 0.5),
        "round_prefer_ceil": np.floor(places + 0.5),
        "floor": np.floor(places),
        "ceil": np.ceil(places),
    }
    return np.clip(rounding[node.text("nearest_mode", "round_prefer_floor")], 0, size - 1)


def _offered(kind: Kind, size: int, count: int, options: dict[str, bool]) -> Places:
    """Return which place TFLite takes; the tests hold it against LiteRT's own answers."""
    steps = np.arange(count, dtype=np.float64)
    aligned = options.get("alignCorners", False) and count > 1
    factor = (size - 1) / (count - 1) if aligned else size / count
    half = 0.5 if options.get("halfPixelCenters", False) else 0.0
    if kind is Kind.RESIZE_NEAREST_NEIGHBOR:
        places = (steps + half) * factor
        return np.clip(np.floor(places + 0.5) if aligned else np.floor(places + 1e-9), 0, size - 1)
    return np.clip((steps + half) * factor - half, 0, size - 1)
