"""Networks of a known size with random weights, for speed and memory where accuracy does not matter."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# MobileNetV2 1.0, arXiv 1801.04381, table 2: expansion, channels, repeats, stride.
BLOCKS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class _Net:
    """A chain of operators under construction."""

    def __init__(self, seed: int) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.tip = "image"
        self._random = np.random.default_rng(seed)

    def add(self, op: str, *more: str, **attributes: int | list[int]) -> str:
        out = f"t{len(self.nodes)}"
        node = helper.make_node(op, [self.tip, *more], [out])
        node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
        self.nodes.append(node)
        self.tip = out
        return out

    def constant(self, *shape: int, scale: float) -> str:
        name = f"c{len(self.constants)}"
        values = self._random.normal(0.0, scale, shape).astype(np.float32)
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def conv(self, inputs: int, outputs: int, kernel: int, stride: int = 1, group: int = 1, *, is_clipped: bool = True) -> None:
        weights = self.constant(outputs, inputs // group, kernel, kernel, scale=float(np.sqrt(2 * group / (inputs * kernel * kernel))))
        bias, pad = self.constant(outputs, scale=0.01), kernel // 2
        self.add("Conv", weights, bias, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4, group=group)
        if is_clipped:
            self.add("Clip", "zero", "six")


def mobilenet_v2(seed: int = 1) -> onnx.ModelProto:
    """Return MobileNetV2 1.0 for float32 images [1, 3, 224, 224] and 1000 classes; BatchNorm is folded, 3.5 million weights."""
    net = _Net(seed)
    net.constants += [numpy_helper.from_array(np.float32(0), "zero"), numpy_helper.from_array(np.float32(6), "six")]
    net.conv(3, 32, 3, 2)
    channels = 32
    for expansion, outputs, repeats, stride in BLOCKS:
        for repeat in range(repeats):
            channels = _inverted_residual(net, channels, outputs, expansion, stride if repeat == 0 else 1)
    net.conv(channels, 1280, 1)
    net.add("GlobalAveragePool")
    net.add("Flatten")
    net.add("Gemm", net.constant(1000, 1280, scale=0.03), net.constant(1000, scale=0.01), transB=1)
    graph = helper.make_graph(
        net.nodes,
        "mobilenet_v2",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 224, 224])],
        [helper.make_tensor_value_info(net.tip, TensorProto.FLOAT, [1, 1000])],
        net.constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _inverted_residual(net: _Net, inputs: int, outputs: int, expansion: int, stride: int) -> int:
    start, hidden = net.tip, inputs * expansion
    if expansion != 1:
        net.conv(inputs, hidden, 1)
    net.conv(hidden, hidden, 3, stride, group=hidden)
    net.conv(hidden, outputs, 1, is_clipped=False)
    if stride == 1 and inputs == outputs:
        net.add("Add", start)
    return outputs
