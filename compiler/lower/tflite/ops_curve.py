"""Lowers functions of one element that TFLite has no operator for, by formulas that hold over the whole range of floats."""

from __future__ import annotations

import numpy as np

from compiler.lower.tflite.build import Build
from compiler.lower.tflite.ir import Tensor, constant
from compiler.lower.tflite.kinds import Kind
from compiler.lower.tflite.node import Node
from compiler.lower.tflite.ops_math import Lower
from compiler.lower.tflite.view import View
from compiler.quantize.plan import Activation

# M. Abramowitz and I. Stegun, "Handbook of Mathematical Functions", 7.1.26: |error| <= 1.5e-7.
ERF_P = 0.3275911
ERF_A = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)
# Times this, any number that float32 tells from zero by much is its sign's side of 1.
STEEP = 1e30


class Formula:
    """Writes one node's formula, operator by operator; what lies between has no range in the plan, and so is float."""

    def __init__(self, node: Node, build: Build) -> None:
        self.build = build
        self.view = build.raw_view(node.inputs[0])
        self.x = self.view.tensor
        self._name = node.outputs[0]

    def of(self, kind: Kind, *operands: Tensor | float) -> Tensor:
        """Return one operator's result; a number stands for a constant."""
        return self.build.emit(kind, self._tensors(operands), self.x.shape, None)

    def end(self, kind: Kind, *operands: Tensor | float) -> None:
        """Say that one operator's result is the node's."""
        made = self.build.emit(kind, self._tensors(operands), self.x.shape, self._name)
        self.build.bind(self._name, View(made, self.view.order, self.view.fold))

    def _tensors(self, operands: tuple[Tensor | float, ...]) -> list[Tensor]:
        return [operand if isinstance(operand, Tensor) else constant("number", [operand]) for operand in operands]


def erf(node: Node, build: Build) -> None:
    """Lower Erf to a polynomial in 1 / (1 + p |x|), times exp(-x^2)."""
    write = Formula(node, build)
    size = write.of(Kind.ABS, write.x)
    t = write.of(Kind.DIV, 1.0, write.of(Kind.ADD, write.of(Kind.MUL, size, ERF_P), 1.0))
    total = write.of(Kind.MUL, t, ERF_A[0])
    for factor in ERF_A[1:]:
        total = write.of(Kind.MUL, write.of(Kind.ADD, total, factor), t)
    bell = write.of(Kind.EXP, write.of(Kind.MUL, write.of(Kind.MUL, size, size), -1.0))
    height = write.of(Kind.SUB, 1.0, write.of(Kind.MUL, total, bell))
    write.end(Kind.MUL, height, write.of(Kind.RELU_N1_TO_1, write.of(Kind.MUL, write.x, STEEP)))


def softplus(node: Node, build: Build) -> None:
    """Lower Softplus to relu(x) + log(1 + exp(-|x|)), which no x overflows."""
    write = Formula(node, build)
    write.end(Kind.ADD, write.of(Kind.RELU, write.x), _rest(write))


def mish(node: Node, build: Build) -> None:
    """Lower Mish to x tanh(softplus(x))."""
    write = Formula(node, build)
    inner = write.of(Kind.ADD, write.of(Kind.RELU, write.x), _rest(write))
    write.end(Kind.MUL, write.x, build.emit(Kind.TANH, [inner], inner.shape, Activation(low=-1, high=127 / 128, calibrator="fixed")))


def exponential_unit(node: Node, build: Build) -> None:
    """Lower Elu, Selu and Celu: gamma (relu(x) + alpha (exp(min(x, 0) / width) - 1))."""
    is_selu, is_celu = node.op_type == "Selu", node.op_type == "Celu"
    alpha = node.real("alpha", 1.6732632 if is_selu else 1.0)
    gamma = node.real("gamma", 1.0507010) if is_selu else 1.0
    write = Formula(node, build)
    below = write.of(Kind.MINIMUM, write.x, 0.0)
    bent = write.of(Kind.EXP, write.of(Kind.MUL, below, 1 / alpha) if is_celu else below)
    negative = write.of(Kind.MUL, write.of(Kind.SUB, bent, 1.0), alpha * gamma)
    write.end(Kind.ADD, write.of(Kind.MUL, write.of(Kind.RELU, write.x), gamma), negative)


def softsign(node: Node, build: Build) -> None:
    """Lower Softsign to x / (1 + |x|)."""
    write = Formula(node, build)
    write.end(Kind.DIV, write.x, write.of(Kind.ADD, write.of(Kind.ABS, write.x), 1.0))


def reciprocal(node: Node, build: Build) -> None:
    """Lower Reciprocal to a division."""
    write = Formula(node, build)
    write.end(Kind.DIV, 1.0, write.x)


def swish(node: Node, build: Build) -> None:
    """Lower Swish to x sigmoid(alpha x)."""
    write, alpha = Formula(node, build), node.real("alpha", 1.0)
    inner = write.x if alpha == 1 else write.of(Kind.MUL, write.x, alpha)
    gate = build.emit(Kind.LOGISTIC, [inner], inner.shape, Activation(low=0, high=255 / 256, calibrator="fixed"))
    write.end(Kind.MUL, write.x, gate)


def sign(node: Node, build: Build) -> None:
    """Lower Sign to a steep line between -1 and 1."""
    write = Formula(node, build)
    write.end(Kind.RELU_N1_TO_1, write.of(Kind.MUL, write.x, float(np.finfo(np.float32).max) / 4))


def thresholded_relu(node: Node, build: Build) -> None:
    """Lower ThresholdedRelu to x where x exceeds alpha, by the steep side of (x - alpha)."""
    write = Formula(node, build)
    side = write.of(Kind.MUL, write.of(Kind.SUB, write.x, node.real("alpha", 1.0)), STEEP)
    write.end(Kind.MUL, write.x, write.of(Kind.MINIMUM, write.of(Kind.MAXIMUM, side, 0.0), 1.0))


def hyperbolic(factor: float) -> Lower:
    """Return the lowering of (exp(x) + factor exp(-x)) / 2: Cosh and Sinh."""

    def lower(node: Node, build: Build) -> None:
        write = Formula(node, build)
        down = write.of(Kind.EXP, write.of(Kind.MUL, write.x, -1.0))
        write.end(Kind.ADD, write.of(Kind.MUL, write.of(Kind.EXP, write.x), 0.5), write.of(Kind.MUL, down, 0.5 * factor))

    return lower


def _rest(write: Formula) -> Tensor:
    bell = write.of(Kind.EXP, write.of(Kind.MUL, write.of(Kind.ABS, write.x), -1.0))
    return write.of(Kind.LOG, write.of(Kind.ADD, bell, 1.0))
