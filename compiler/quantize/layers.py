"""Sees a weighted operator as matrices of weights and the rows of numbers that these are multiplied with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from compiler.graph.index import GraphIndex, attribute

Floats = npt.NDArray[np.floating[Any]]
# Of one image no more places of a convolution's window are looked at: neighbours tell much the same.
MAX_PLACES = 64
# Of all images so many for each number of a row tell enough.
ROWS_FOR_A_NUMBER = 16
# What rows have in common is a square of their length, which must be held and inverted.
MAX_LENGTH = 640


@dataclass(frozen=True)
class Layer:
    """One weighted operator: `groups` matrices, each with rows of `length` numbers for its outputs; of a convolution its `kernel`.

    Of one image it looks at `places`, evenly spread.
    """

    node: onnx.NodeProto
    groups: int
    length: int
    kernel: tuple[int, ...] = ()
    places: int = MAX_PLACES

    @property
    def source(self) -> str:
        """Return the tensor that it reads."""
        return str(self.node.input[0])

    @property
    def weights(self) -> str:
        """Return the constant that holds its weights."""
        return str(self.node.input[1])

    def matrices(self, weights: Floats) -> Floats:
        """Return weights as [groups, outputs, length]."""
        return weights.T[None] if self._is_turned else weights.reshape(self.groups, -1, self.length)

    def restored(self, matrices: npt.NDArray[Any], weights: Floats) -> npt.NDArray[Any]:
        """Return matrices in the shape of `weights`."""
        return matrices[0].T if self._is_turned else matrices.reshape(weights.shape)

    def rows(self, values: Floats) -> Floats:
        """Return what one tensor brings to the matrices, as [rows, groups, length]."""
        if self.node.op_type != "Conv":
            return values.reshape(-1, 1, self.length)
        windows = _windows(self.node, values, self.kernel)
        sizes = windows.shape[2 : 2 + len(self.kernel)]
        chosen = np.unique(np.linspace(0, np.prod(sizes) - 1, self.places).round().astype(np.intp))
        by_place = np.moveaxis(windows, (0, 1), (len(self.kernel), len(self.kernel) + 1))
        taken = by_place[np.unravel_index(chosen, sizes)]  # [places, batch, channels, *kernel]
        rows: Floats = taken.reshape(-1, self.groups, self.length)
        return rows

    @property
    def _is_turned(self) -> bool:
        """Say whether the outputs are counted by the last axis of the weights."""
        return self.node.op_type == "MatMul" or (self.node.op_type == "Gemm" and not attribute(self.node, "transB", 0))


def layers_of(index: GraphIndex, samples: int) -> Iterator[Layer]:
    """Yield the operators whose weights belong to them alone, dense layers and convolutions, as so many samples shall show them."""
    readers = Counter(name for node in index.model.graph.node for name in node.input)
    for node in index.model.graph.node:
        weights = index.constants.get(node.input[1]) if len(node.input) > 1 else None
        if weights is None or readers[node.input[1]] > 1 or not index.is_activation(node.input[0]) or not index.is_float(node.input[1]):
            continue
        layer = _layer(node, weights)
        if layer is not None and 1 < layer.length <= MAX_LENGTH:
            wanted = -(-ROWS_FOR_A_NUMBER * layer.length // max(samples, 1))
            yield replace(layer, places=min(wanted, MAX_PLACES))


def _layer(node: onnx.NodeProto, weights: Floats) -> Layer | None:
    if node.op_type == "Conv" and attribute(node, "auto_pad", b"NOTSET") == b"NOTSET":
        return Layer(node, attribute(node, "group", 1), int(np.prod(weights.shape[1:])), weights.shape[2:])
    if node.op_type == "Gemm" and not attribute(node, "transA", 0):
        return Layer(node, 1, weights.shape[1 if attribute(node, "transB", 0) else 0])
    return Layer(node, 1, weights.shape[0]) if node.op_type == "MatMul" and weights.ndim == 2 else None


def _windows(node: onnx.NodeProto, values: Floats, kernel: tuple[int, ...]) -> Floats:
    """Return a view [batch, channels, *places, *kernel] of what a convolution's window covers at each of its places."""
    axes = len(kernel)
    strides, dilations = attribute(node, "strides", [1] * axes), attribute(node, "dilations", [1] * axes)
    pads = attribute(node, "pads", [0] * 2 * axes)
    padded = np.pad(values, [(0, 0), (0, 0), *zip(pads[:axes], pads[axes:], strict=True)])
    reach = tuple((size - 1) * dilation + 1 for size, dilation in zip(kernel, dilations, strict=True))
    covered = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=tuple(range(2, 2 + axes)))
    steps = (slice(None), slice(None), *(slice(None, None, each) for each in (*strides, *dilations)))
    windows: Floats = covered[steps]
    return windows
