"""The float graph that TFLite will run, in its own layout and operators; nothing here says how numbers are stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from compiler.lower.tflite.kinds import Kind
from compiler.quantize.plan import Activation

Array = npt.NDArray[np.generic]
Floats = npt.NDArray[np.float32]
Shape = tuple[int, ...]
Options = Mapping[str, "int | float | bool"]
NO_OPTIONS: Options = MappingProxyType({})


class Padding(IntEnum):
    """The schema's enumeration."""

    SAME = 0
    VALID = 1


class Fused(IntEnum):
    """What an operator applies to its result before it is stored: the schema's ActivationFunctionType."""

    NONE = 0
    RELU = 1
    RELU_N1_TO_1 = 2
    RELU6 = 3


@dataclass(frozen=True, eq=False)
class Tensor:
    """A value that is computed; two tensors are the same only when they are the same object."""

    name: str
    shape: Shape
    span: Activation | None


@dataclass(frozen=True, eq=False)
class Constant(Tensor):
    """Float numbers that are known: an operand, or a bias."""

    values: Floats


@dataclass(frozen=True, eq=False)
class Kernel(Constant):
    """Weights of a convolution or a dense layer, with the integers that the plan makes of them."""

    integers: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]
    axis: int

    def moved(self, move: Callable[[Array], Array], axis: int) -> Kernel:
        """Return the same weights put in another order by `move`; their scales then belong to `axis`."""
        values, integers = move(self.values), move(self.integers)
        return Kernel(self.name, values.shape, None, values.astype(np.float32), integers.astype(np.int8), self.scales, axis)

    def part(self, chosen: slice) -> Kernel:
        """Return some of the channels along `axis`."""
        where = tuple(chosen if index == self.axis else slice(None) for index in range(len(self.shape)))
        values = self.values[where]
        return Kernel(self.name, values.shape, None, values, self.integers[where], self.scales[chosen], self.axis)

    def scaled(self, factor: float) -> Kernel:
        """Return the weights times a positive factor: the integers stay."""
        scales = (self.scales * np.float32(factor)).astype(np.float32)
        return Kernel(self.name, self.shape, None, (self.values * np.float32(factor)).astype(np.float32), self.integers, scales, self.axis)


@dataclass(frozen=True, eq=False)
class Index(Tensor):
    """Whole numbers that steer an operator: a shape, an axis, a permutation. They are int32 in every form."""

    values: npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Whole(Tensor):
    """No real numbers: places in a table that come into the model, or truth values; `element` is numpy's name of their type."""

    element: str


@dataclass(frozen=True, eq=False)
class Op:
    """One TFLite operator; `options` are the fields of its options table in the schema, `node` the ONNX node that it comes from."""

    kind: Kind
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    options: Options
    node: str


@dataclass(frozen=True)
class Graph:
    """Operators in the order in which they run; outputs by the names that the model gives them."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[tuple[str, Tensor], ...]
    ops: tuple[Op, ...]


def constant(name: str, values: npt.ArrayLike) -> Constant:
    """Return float numbers as a constant."""
    array = np.asarray(values, np.float32)
    return Constant(name, array.shape, None, array)


def index(name: str, values: npt.ArrayLike) -> Index:
    """Return whole numbers as a constant."""
    array = np.asarray(values, np.int32)
    return Index(name, array.shape, None, array)
