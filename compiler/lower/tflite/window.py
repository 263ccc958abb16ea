"""Where the windows of a convolution or a pool lie, and whether TFLite has a word for their padding."""

from __future__ import annotations

from dataclasses import dataclass, replace

from compiler.lower.tflite.ir import Padding
from compiler.lower.tflite.node import Node

Pair = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """Height and width of everything; an image of one dimension is one row."""

    sizes: Pair
    kernel: Pair
    strides: Pair
    dilations: Pair
    begins: Pair
    ends: Pair
    outputs: Pair

    @property
    def padding(self) -> Padding | None:
        """Return TFLite's word for the padding, or None where it has to be done by an operator of its own."""
        if all(self._padded(axis) == 0 for axis in (0, 1)):
            return Padding.VALID
        return Padding.SAME if all(self._is_same(axis) for axis in (0, 1)) else None

    @property
    def is_whole(self) -> bool:
        """Say whether there is one window, and it is the whole image."""
        return self.kernel == self.sizes and self.outputs == (1, 1) and self.begins == (0, 0) and self.dilations == (1, 1)

    def over_padded(self) -> Window:
        """Return the same window over the image after it was padded."""
        sizes = [self.sizes[axis] + self.begins[axis] + max(self.end(axis), 0) for axis in (0, 1)]
        return replace(self, sizes=(sizes[0], sizes[1]), begins=(0, 0), ends=(0, 0))

    def end(self, axis: int) -> int:
        """Return the padding at the end that the last window reaches: more than `ends` where sizes are rounded up, negative if cut off."""
        return (self.outputs[axis] - 1) * self.strides[axis] + self._reach(axis) - self.sizes[axis] - self.begins[axis]

    def _reach(self, axis: int) -> int:
        return (self.kernel[axis] - 1) * self.dilations[axis] + 1

    def _padded(self, axis: int) -> int:
        return self.begins[axis] + max(self.end(axis), 0)

    def _is_same(self, axis: int) -> bool:
        """Follow TensorFlow's definition: as many windows as strides fit, the odd element of padding at the end."""
        windows = -(-self.sizes[axis] // self.strides[axis])
        total = max((windows - 1) * self.strides[axis] + self._reach(axis) - self.sizes[axis], 0)
        return self.outputs[axis] == windows and self.begins[axis] == total // 2


def window_of(node: Node, sizes: tuple[int, ...], outputs: tuple[int, ...], kernel: tuple[int, ...]) -> Window:
    """Read a node's window over an image of `sizes`; refuse images of three dimensions."""
    rank = len(sizes)
    if rank not in {1, 2}:
        raise node.refusal(f"an image of {rank} dimensions")
    strides, dilations = node.integers("strides", [1] * rank), node.integers("dilations", [1] * rank)
    pads = _pads(node, sizes, outputs, kernel)
    if min(pads) < 0:
        raise node.refusal(f"negative pads {list(pads)}", "cut the image by a Slice before it")
    begins, ends = pads[:rank], pads[rank:]
    missing = 2 - rank
    return Window(
        sizes=_pair(sizes, 1, missing),
        kernel=_pair(kernel, 1, missing),
        strides=_pair(strides, 1, missing),
        dilations=_pair(dilations, 1, missing),
        begins=_pair(begins, 0, missing),
        ends=_pair(ends, 0, missing),
        outputs=_pair(outputs, 1, missing),
    )


def _pair(values: tuple[int, ...], filler: int, missing: int) -> Pair:
    first, second = (filler,) * missing + values
    return first, second


def _pads(node: Node, sizes: tuple[int, ...], outputs: tuple[int, ...], kernel: tuple[int, ...]) -> tuple[int, ...]:
    """Return ONNX's pads, begins before ends, with `auto_pad` and ConvTranspose's `output_shape` worked out."""
    rank, mode = len(sizes), node.text("auto_pad", "NOTSET")
    if mode in {"NOTSET", "VALID"} and "output_shape" not in node.attributes:
        return node.integers("pads", [0] * (2 * rank)) if mode == "NOTSET" else (0,) * (2 * rank)
    strides, dilations = node.integers("strides", [1] * rank), node.integers("dilations", [1] * rank)
    totals = [max((outputs[axis] - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1 - sizes[axis], 0) for axis in range(rank)]
    smaller, larger = [total // 2 for total in totals], [total - total // 2 for total in totals]
    return (*smaller, *larger) if mode == "SAME_UPPER" else (*larger, *smaller)
