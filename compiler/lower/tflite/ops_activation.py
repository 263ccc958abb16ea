"""Lowers functions of one element, and Softmax; what TFLite lacks is made of what it has, exactly."""

from __future__ import annotations

import math

import numpy as np

from compiler.lower.tflite.build import Build
from compiler.lower.tflite.ir import NO_OPTIONS, Options, constant
from compiler.lower.tflite.kinds import Kind
from compiler.lower.tflite.node import Node
from compiler.lower.tflite.ops_curve import exponential_unit
from compiler.lower.tflite.ops_math import Lower, aligned
from compiler.lower.tflite.view import View
from compiler.quantize.plan import Activation

# Clips that TFLite has operators for, by their bounds.
CLIPS = {(0.0, math.inf): Kind.RELU, (0.0, 6.0): Kind.RELU6, (-1.0, 1.0): Kind.RELU_N1_TO_1}


def unary(kind: Kind) -> Lower:
    """Return the lowering of a function of one element that TFLite has as well; a folded tensor stays folded."""

    def lower(node: Node, build: Build) -> None:
        _apply(node, build, kind)

    return lower


def clip(node: Node, build: Build) -> None:
    """Lower Clip: to TFLite's own clips, else to MAXIMUM and MINIMUM with the bounds."""
    low, high = _bound(node, build, 1, "min", -math.inf), _bound(node, build, 2, "max", math.inf)
    if (low, high) in CLIPS:
        _apply(node, build, CLIPS[low, high])
        return
    view, name = build.raw_view(node.inputs[0]), node.outputs[0]
    tensor = view.tensor
    for kind, bound in ((Kind.MAXIMUM, low), (Kind.MINIMUM, high)):
        if math.isfinite(bound):
            tensor = build.emit(kind, [tensor, constant("bound", [bound])], tensor.shape, name)
    build.bind(name, View(tensor, view.order, view.fold))


def leaky_relu(node: Node, build: Build) -> None:
    """Lower LeakyRelu."""
    _apply(node, build, Kind.LEAKY_RELU, {"alpha": node.real("alpha", 0.01)})


def elu(node: Node, build: Build) -> None:
    """Lower Elu: with alpha 1 to TFLite's own."""
    if node.real("alpha", 1.0) != 1:
        exponential_unit(node, build)
        return
    _apply(node, build, Kind.ELU)


def gelu(node: Node, build: Build) -> None:
    """Lower Gelu."""
    _apply(node, build, Kind.GELU, {"approximate": node.text("approximate", "none") == "tanh"})


def p_relu(node: Node, build: Build) -> None:
    """Lower PRelu with a constant slope; one slope for everything is a LeakyRelu, which older runtimes' PRELU gets wrong."""
    slopes = build.known(node.inputs[1])
    if slopes is None:
        raise node.refusal("a slope that is computed, not constant")
    if slopes.size == 1:
        _apply(node, build, Kind.LEAKY_RELU, {"alpha": float(slopes.ravel()[0])})
        return
    (tensor, slope), order = aligned(build, node.inputs)
    # TFLite's kernel takes the slope for all axes but the batch.
    lifted = build.emit_reshape(slope, (1,) * (len(tensor.shape) - 1 - len(slope.shape)) + slope.shape)
    build.finish(node, Kind.PRELU, [tensor, lifted], order)


def hard_sigmoid(node: Node, build: Build) -> None:
    """Lower HardSigmoid, clip(alpha x + beta, 0, 1), to relu6(6 alpha x + 6 beta) / 6: single numbers are exact in any form."""
    alpha, beta = node.real("alpha", 0.2), node.real("beta", 0.5)
    view = build.raw_view(node.inputs[0])
    tensor, factor = view.tensor, 6 * alpha
    if not math.isclose(factor, 1, rel_tol=1e-6):
        span = _times(tensor.span, factor)
        tensor = build.emit(Kind.MUL, [tensor, constant("factor", [factor])], tensor.shape, span)
    shifted = build.emit(Kind.ADD, [tensor, constant("offset", [6 * beta])], tensor.shape, _plus(tensor.span, 6 * beta))
    clipped = build.emit(Kind.RELU6, [shifted], tensor.shape, Activation(low=0, high=6, calibrator="fixed"))
    made = build.emit(Kind.MUL, [clipped, constant("sixth", [1 / 6])], tensor.shape, node.outputs[0])
    build.bind(node.outputs[0], View(made, view.order, view.fold))


def softmax(kind: Kind) -> Lower:
    """Return the lowering of Softmax or LogSoftmax along any axis; TFLite takes it along the last one in memory."""

    def lower(node: Node, build: Build) -> None:
        view = build.view(node.inputs[0])
        axis = node.axis(len(view.order), -1)
        order = view.order if view.order[-1] == axis else (*(other for other in range(len(view.order)) if other != axis), axis)
        options: Options = {"beta": 1.0} if kind is Kind.SOFTMAX else NO_OPTIONS
        build.finish(node, kind, [build.arranged(view, order)], order, options)

    return lower


def _apply(node: Node, build: Build, kind: Kind, options: Options = NO_OPTIONS) -> None:
    view = build.raw_view(node.inputs[0])
    # Before a reshape, so that it can be fused into the operator there.
    source = build.before_reshape(view.tensor)
    made = build.emit(kind, [source], source.shape, node.outputs[0], options)
    build.bind(node.outputs[0], View(build.emit_reshape(made, view.tensor.shape), view.order, view.fold))


def _bound(node: Node, build: Build, place: int, attribute: str, default: float) -> float:
    """Return a bound of Clip: an input since opset 11, an attribute before."""
    if not node.input(place):
        return node.real(attribute, default)
    values = build.known(node.input(place))
    if values is None:
        raise node.refusal(f"a bound ({attribute}) that is computed, not constant")
    bound = float(values.astype(np.float64).ravel()[0])
    # Exporters write the largest float for no bound.
    return default if abs(bound) >= float(np.finfo(np.float32).max) else bound


def _times(span: Activation | None, factor: float) -> Activation | None:
    ends = None if span is None else sorted((span.low * factor, span.high * factor))
    return None if ends is None else Activation(low=ends[0], high=ends[1], calibrator="derived")


def _plus(span: Activation | None, offset: float) -> Activation | None:
    return None if span is None else Activation(low=span.low + offset, high=span.high + offset, calibrator="derived")
