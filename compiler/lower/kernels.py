"""Replaces the float arithmetic of a simulation by that of LiteRT's integer kernels, so that not even ties round another way."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from compiler.graph.index import GraphIndex, attribute, replace_nodes, set_constant

# XNNPACK holds the larger of a sum's two factors with this many bits behind its leading one (src/microparams-init.c).
ADD_BITS = 20
LAYERS = frozenset({"Conv", "Gemm", "MatMul"})
ONE = "kernels/one"


def as_kernels(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph of Q/DQ pairs in which sums of products, and sums of two tensors, are reckoned in steps before they are rounded.

    XNNPACK, which LiteRT computes with on every CPU, sums integers, multiplies the sum with one 32-bit float and rounds to the nearest,
    ties to even; a sum of two tensors it makes in fixed point, ties upwards. Floats would round a few values in a million differently,
    and every layer after them spreads that.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    set_constant(copy, ONE, np.asarray(1, np.float32))
    _Writer(copy).write()
    return copy


class _Writer:
    """Rewrites one graph, node by node in its own order."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model, self._index = model, GraphIndex(model)
        self._nodes: list[onnx.NodeProto] = []
        self._in_steps: dict[str, str] = {}
        # Quantizers whose input is in steps already, with the scale 1.
        self._plain: set[str] = set()

    def write(self) -> None:
        """Change the model."""
        for node in self._model.graph.node:
            quantizer = self._index.only_reader(node.output[0])
            if quantizer is None or quantizer.op_type != "QuantizeLinear" or not self._apply(node, quantizer):
                copy = onnx.NodeProto()
                copy.CopyFrom(node)
                if node.name in self._plain:
                    copy.input[1] = ONE
                self._nodes.append(copy)
        replace_nodes(self._model, self._nodes)

    def _apply(self, node: onnx.NodeProto, quantizer: onnx.NodeProto) -> bool:
        """Write a node in steps, if it is one of those that have integer kernels here and all it reads are integers."""
        scales = [self._scale(name) for name in node.input]
        known = [scale for scale in scales if scale is not None]
        if len(known) < len(scales):
            return False
        step = self._index.constants[quantizer.input[1]]
        if node.op_type in LAYERS and self._integers(node.input[1]) is not None:
            self._layer(node, known, step)
        elif node.op_type == "Add" and all(self._integers(name) is None for name in node.input):
            self._sum(node, known, step)
        elif node.op_type == "AveragePool" and not (attribute(node, "count_include_pad", 0) and any(attribute(node, "pads", []))):
            self._pool(node, quantizer)
        else:
            return False
        self._plain.add(quantizer.name)
        return True

    def _layer(self, node: onnx.NodeProto, scales: list[npt.NDArray[Any]], step: npt.NDArray[Any]) -> None:
        """Sum products of integers, add the bias, multiply with (input scale * weight scale) / output scale."""
        name, copy = f"{node.name}/kernel", onnx.NodeProto()
        copy.CopyFrom(node)
        weights = self._integers(node.input[1])
        assert weights is not None
        along = [-1, *[1] * (weights.ndim - 2)] if node.op_type == "Conv" else [-1]
        source, kind = self._steps(node.input[0]), np.float32
        if node.op_type != "Conv":  # whose only form is that of 32-bit floats, exact up to 2^24
            source, kind = self._add("Cast", [source], f"{name}/wide", to=TensorProto.DOUBLE), np.float64
        copy.input[:] = [source, self._constant(f"{name}/integers", weights.astype(kind))]
        copy.output[0] = f"{name}/products"
        self._nodes.append(copy)
        summed = self._add("Cast", [copy.output[0]], f"{name}/summed", to=TensorProto.DOUBLE)
        if len(node.input) > 2:
            bias = self._integers(node.input[2])
            assert bias is not None
            steps = self._constant(f"{name}/bias/steps", bias.astype(np.float64).reshape(along))
            summed = self._add("Add", [summed, steps], f"{name}/biased")
        narrow = self._add("Cast", [summed], f"{name}/narrow", to=TensorProto.FLOAT)
        factor = (scales[0] * scales[1] / step).astype(np.float32).reshape(along)
        self._add("Mul", [narrow, self._constant(f"{name}/factor", factor)], node.output[0])

    def _sum(self, node: onnx.NodeProto, scales: list[npt.NDArray[Any]], step: npt.NDArray[Any]) -> None:
        """Add two tensors in fixed point."""
        name, ratios = f"{node.name}/kernel", [float(scale / step) for scale in scales]
        bits = ADD_BITS + 1 - int(np.frexp(max(ratios))[1])
        parts = []
        for position, ratio in enumerate(ratios):
            wide = self._add("Cast", [self._steps(node.input[position])], f"{name}/{position}/wide", to=TensorProto.DOUBLE)
            factor = self._constant(f"{name}/{position}/factor", np.asarray(np.rint(ratio * 2.0**bits), np.float64))
            parts.append(self._add("Mul", [wide, factor], f"{name}/{position}/scaled"))
        half = self._constant(f"{name}/half", np.asarray(2.0 ** (bits - 1)))
        total = self._add("Add", [self._add("Add", parts, f"{name}/total"), half], f"{name}/raised")
        shifted = self._add("Mul", [total, self._constant(f"{name}/shift", np.asarray(2.0**-bits))], f"{name}/shifted")
        self._add("Cast", [self._add("Floor", [shifted], f"{name}/floor")], node.output[0], to=TensorProto.FLOAT)

    def _pool(self, node: onnx.NodeProto, quantizer: onnx.NodeProto) -> None:
        """Take the mean of integers as they are stored, and round it with ties away from zero: a tie of four is no rare thing."""
        stored, name = self._writer(node.input[0]).input[0], f"{node.name}/kernel"
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.input[0] = self._add("DequantizeLinear", [stored, ONE], f"{name}/stored")
        copy.output[0] = f"{name}/mean"
        self._nodes.append(copy)
        half = self._constant(f"{name}/half", np.asarray(0.5, np.float32))
        raised = self._add("Add", [self._add("Abs", [copy.output[0]], f"{name}/size"), half], f"{name}/raised")
        sign = self._add("Sign", [copy.output[0]], f"{name}/sign")
        mean = self._add("Mul", [self._add("Floor", [raised], f"{name}/floor"), sign], f"{name}/rounded")
        zero_point = self._index.constants[quantizer.input[2]].astype(np.float32)
        self._add("Sub", [mean, self._constant(f"{name}/zero_point", zero_point)], node.output[0])

    def _writer(self, name: str) -> onnx.NodeProto:
        return self._index.writers[name]

    def _scale(self, name: str) -> npt.NDArray[Any] | None:
        """Return the scale of a tensor that stands for integers; None for others."""
        writer = self._index.writers.get(name)
        return self._index.constants.get(writer.input[1]) if writer is not None and writer.op_type == "DequantizeLinear" else None

    def _integers(self, name: str) -> npt.NDArray[Any] | None:
        """Return a constant's integers, whose zero point is 0; None for what is computed."""
        return self._index.constants.get(self._writer(name).input[0])

    def _steps(self, name: str) -> str:
        """Return a tensor's integers less their zero point, as floats."""
        if name not in self._in_steps:
            dequantizer = self._writer(name)
            self._in_steps[name] = self._add("DequantizeLinear", [dequantizer.input[0], ONE, *dequantizer.input[2:]], f"{name}/steps")
        return self._in_steps[name]

    def _constant(self, name: str, values: npt.NDArray[Any]) -> str:
        set_constant(self._model, name, values)
        return name

    def _add(self, operator: str, inputs: list[str], output: str, **attributes: int) -> str:
        node = helper.make_node(operator, inputs, [output], name=f"{output}/{operator}")
        node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
        self._nodes.append(node)
        return output
