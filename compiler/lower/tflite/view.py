"""Where an ONNX tensor lies in TFLite's layout: transposes are remembered here, and only done where an operator insists."""

from __future__ import annotations

import math
from dataclasses import dataclass

from compiler.lower.tflite.ir import Shape, Tensor

Order = tuple[int, ...]


@dataclass(frozen=True)
class Fold:
    """A tensor flattened in the order of its memory: `shape` is what ONNX flattened, `order` how that lay in memory."""

    shape: Shape
    order: Order


@dataclass(frozen=True)
class View:
    """Axis i of `tensor` holds ONNX axis `order[i]`; with a `fold`, the last axis holds its elements in another sequence than ONNX's."""

    tensor: Tensor
    order: Order
    fold: Fold | None = None

    @property
    def shape(self) -> Shape:
        """Return the shape that ONNX sees."""
        return tuple(self.tensor.shape[self.order.index(axis)] for axis in range(len(self.order)))


def as_is(rank: int) -> Order:
    """Return the order of ONNX itself."""
    return tuple(range(rank))


def channels_last(rank: int) -> Order:
    """Return the order that TFLite's convolutions and pools take: NHWC."""
    return (0, *range(2, rank), 1)


def permutation(source: Order, target: Order) -> tuple[int, ...]:
    """Return which axis of memory in `source` order comes at each place of `target` order."""
    return tuple(source.index(axis) for axis in target)


def only_moves_ones(shape: Shape, moves: tuple[int, ...]) -> bool:
    """Say whether a permutation leaves the sequence of elements as it is, because only axes of length 1 change places."""
    long = [axis for axis in moves if shape[axis] != 1]
    return long == sorted(long)


def reshaped(shape: Shape, order: Order, target: Shape) -> tuple[Shape, Order] | None:
    """Return how memory looks when ONNX reshapes `shape` to `target` and no element moves, or None where that cannot be.

    It can where every run of axes that is split or merged lies together in memory.
    """
    sequence = [axis for axis in order if shape[axis] != 1]
    result: list[int] = []
    while sequence:
        before, after = _group_of(sequence[0], shape, target)
        if sequence[: len(before)] != before:
            return None
        result += after
        del sequence[: len(before)]
    placed = _with_ones(result, target)
    return tuple(target[axis] for axis in placed), placed


def reshapable(shape: Shape, order: Order, target: Shape) -> Order:
    """Return the order nearest to `order` in which `shape` can be reshaped to `target`: what is merged lies together."""
    result: list[int] = []
    for axis in order:
        if shape[axis] == 1:
            result.append(axis)
        elif axis not in result:
            result += _group_of(axis, shape, target)[0]
    return tuple(result)


def _group_of(axis: int, shape: Shape, target: Shape) -> tuple[list[int], list[int]]:
    return next(group for group in _groups(shape, target) if axis in group[0])


def _groups(shape: Shape, target: Shape) -> list[tuple[list[int], list[int]]]:
    """Pair the smallest runs of axes that hold the same number of elements; axes of length 1 belong to none."""
    assert math.prod(shape) == math.prod(target)
    left = [axis for axis, size in enumerate(shape) if size != 1]
    right = [axis for axis, size in enumerate(target) if size != 1]
    groups = []
    while left or right:
        before: list[int] = []
        after: list[int] = []
        held = wanted = 1
        while not before or held != wanted:
            if held <= wanted:
                before.append(left.pop(0))
                held *= shape[before[-1]]
            else:
                after.append(right.pop(0))
                wanted *= target[after[-1]]
        groups.append((before, after))
    return groups


def _with_ones(sequence: list[int], target: Shape) -> Order:
    """Put the axes of length 1 among the others, so that the result is a common order where it can be."""
    rank = len(target)
    for order in (as_is(rank), channels_last(rank)) if rank > 2 else (as_is(rank),):
        if [axis for axis in order if target[axis] != 1] == sequence:
            return order
    return (*(axis for axis in range(rank) if target[axis] == 1), *sequence)
