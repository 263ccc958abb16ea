"""Turns a convolution between SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND into the dilated convolution that it stands for.

A converter that cannot dilate cuts an image into as many smaller ones as it skips places (Yu and Koltun, "Multi-scale context
aggregation by dilated convolutions"): pad, convolve with a dilation, crop computes the same numbers on one image.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from compiler.importers.tflite.flatbuffer import Array, FlatModel, Operator, Tensor

CONVOLUTIONS = {"CONV_2D": "Conv2DOptions", "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions"}
RESHAPES = {"RESHAPE", "SQUEEZE", "EXPAND_DIMS"}
MAX_RESHAPES = 2
VALID = 1  # schema.fbs, Padding


@dataclass(frozen=True)
class _Chain:
    """Operators that feed each other alone: cut, perhaps a reshape, the convolution, perhaps a reshape, join."""

    cut: Operator
    between: tuple[Operator, ...]
    join: Operator

    @property
    def all(self) -> tuple[Operator, ...]:
        return (self.cut, *self.between, self.join)


@dataclass
class _Rewriting:
    """A graph on its way to another: new tensors at the end, shapes that change, operators by the place of the old ones."""

    flat: FlatModel
    tensors: list[Tensor] = field(default_factory=list)
    operators: dict[int, Operator] = field(default_factory=dict)

    def constant(self, values: Array) -> int:
        self.tensors.append(Tensor("constant", values.dtype.name.upper(), values.shape, frozenset(), values, None))
        return len(self.tensors) - 1

    def reshape(self, index: int, shape: Sequence[int]) -> None:
        self.tensors[index] = replace(self.tensors[index], shape=tuple(shape))


def with_dilations(flat: FlatModel) -> FlatModel:
    """Return the graph with every such convolution on one image; what does not fit stays as it is."""
    rewriting = _Rewriting(flat, list(flat.tensors), {operator.index: operator for operator in flat.operators})
    for operator in flat.operators:
        if operator.name == "SPACE_TO_BATCH_ND" and (chain := _chain_from(operator, flat)):
            _dilate(rewriting, chain)
    return replace(flat, tensors=tuple(rewriting.tensors), operators=tuple(rewriting.operators.values()))


def _chain_from(cut: Operator, flat: FlatModel) -> _Chain | None:
    between: list[Operator] = []
    current = cut
    while len(between) <= 2 * MAX_RESHAPES + 1:
        readers = [operator for operator in flat.operators if current.outputs[0] in operator.inputs]
        if len(readers) != 1 or current.outputs[0] in flat.outputs:
            return None
        current = readers[0]
        if current.name == "BATCH_TO_SPACE_ND":
            chain = _Chain(cut, tuple(between), current)
            return chain if _is_dilation(chain, flat) else None
        if current.name not in CONVOLUTIONS and current.name not in RESHAPES:
            return None
        between.append(current)
    return None


def _is_dilation(chain: _Chain, flat: FlatModel) -> bool:
    convolutions = [operator for operator in chain.between if operator.name in CONVOLUTIONS]
    known = [flat.tensors[index].data for ends in (chain.cut, chain.join) for index in ends.inputs[1:3]]
    if len(convolutions) != 1 or len(known) != 4 or any(values is None for values in known):
        return False
    options, blocks = convolutions[0].options, [values.ravel().tolist() for values in (known[0], known[2]) if values is not None]
    is_plain = options is not None and options.padding == VALID and options.strideH == options.strideW == 1
    is_image = all(len(flat.tensors[index].shape) == 2 + len(blocks[0]) for index in (chain.cut.inputs[0], chain.join.outputs[0]))
    return bool(is_plain and is_image and blocks[0] == blocks[1] and flat.tensors[chain.cut.inputs[0]].shape[0] == 1)


def _dilate(rewriting: _Rewriting, chain: _Chain) -> None:
    tensors = rewriting.tensors
    blocks, pads, crops = (_values(tensors[index]) for index in (*chain.cut.inputs[1:3], chain.join.inputs[2]))
    source = tensors[chain.cut.inputs[0]]
    around = np.array([[0, 0], *pads.reshape(-1, 2).tolist(), [0, 0]], np.int32)
    sizes = [size + int(pad.sum()) for size, pad in zip(source.shape, around, strict=True)]
    rewriting.reshape(chain.cut.outputs[0], sizes)
    rewriting.operators[chain.cut.index] = Operator(
        chain.cut.index, "PAD", (chain.cut.inputs[0], rewriting.constant(around)), chain.cut.outputs, None
    )
    for operator in chain.between:
        if operator.name in CONVOLUTIONS:
            sizes = _convolved(rewriting, operator, sizes, blocks.ravel().tolist())
        else:
            sizes = _reshaped(tensors[operator.outputs[0]].shape, sizes)
        rewriting.reshape(operator.outputs[0], sizes)
    begins = np.array([0, *crops.reshape(-1, 2)[:, 0].tolist(), 0], np.int32)
    shape = np.array(tensors[chain.join.outputs[0]].shape, np.int32)
    inputs = (chain.join.inputs[0], rewriting.constant(begins), rewriting.constant(shape))
    rewriting.operators[chain.join.index] = Operator(chain.join.index, "SLICE", inputs, chain.join.outputs, None)


def _convolved(rewriting: _Rewriting, operator: Operator, sizes: list[int], blocks: list[int]) -> list[int]:
    """Dilate a convolution, and return its result's shape; an axis that a reshape put in is not dilated."""
    if len(blocks) == 1:
        blocks = [1, blocks[0]] if sizes[1] == 1 else [blocks[0], 1]
    options = copy.copy(operator.options)
    options.dilationHFactor, options.dilationWFactor = options.dilationHFactor * blocks[0], options.dilationWFactor * blocks[1]
    rewriting.operators[operator.index] = replace(operator, options=options)
    window = rewriting.tensors[operator.inputs[1]].shape[1:3]
    spans = ((window[0] - 1) * options.dilationHFactor, (window[1] - 1) * options.dilationWFactor)
    return [1, sizes[1] - spans[0], sizes[2] - spans[1], rewriting.tensors[operator.outputs[0]].shape[3]]


def _reshaped(before: tuple[int, ...], sizes: list[int]) -> list[int]:
    """Return a shape that gains or loses an axis of one where the cut image's does."""
    places = [size for size in sizes[1:-1] if size != 1]
    return [1, *(1 if size == 1 or not places else places.pop(0) for size in before[1:-1]), sizes[-1]]


def _values(tensor: Tensor) -> Array:
    assert tensor.data is not None  # _is_dilation saw to it
    return tensor.data
