"""Lowers to QDQ graphs for ONNX Runtime's CPU kernels: weights symmetric per output channel, activations with a zero point."""

from __future__ import annotations

from typing import Any

import onnx
from onnxruntime.quantization import QDQQuantizer, QuantType, TensorsData

from compiler.quantize.quiet import quiet_logging

# Operators with an integer kernel, and those that move values without changing them. Others stay float.
INTEGER_OPS = (
    *("Add", "AveragePool", "Clip", "Concat", "Conv", "Flatten", "Gemm", "GlobalAveragePool", "LeakyRelu", "MatMul", "MaxPool", "Mul"),
    *("Pad", "Relu", "Reshape", "Resize", "Sigmoid", "Slice", "Softmax", "Split", "Squeeze", "Transpose", "Unsqueeze"),
)


def to_u8s8(model: onnx.ModelProto, ranges: TensorsData) -> onnx.ModelProto:
    """Lower for a general CPU: uint8 activations."""
    return quantized(model, ranges, QuantType.QUInt8, INTEGER_OPS, {})


def to_s8s8(model: onnx.ModelProto, ranges: TensorsData) -> onnx.ModelProto:
    """Lower for Arm cores: int8 activations."""
    return quantized(model, ranges, QuantType.QInt8, INTEGER_OPS, {})


def quantized(
    model: onnx.ModelProto, ranges: TensorsData, activations: QuantType, operators: tuple[str, ...], options: dict[str, Any]
) -> onnx.ModelProto:
    """Insert QuantizeLinear and DequantizeLinear around `operators`; weights are int8, symmetric, per output channel."""
    with quiet_logging():
        quantizer = QDQQuantizer(
            model,
            per_channel=True,
            reduce_range=False,
            weight_qType=QuantType.QInt8,
            activation_qType=activations,
            tensors_range=ranges,
            nodes_to_quantize=[],
            nodes_to_exclude=[],
            op_types_to_quantize=list(operators),
            extra_options={"WeightSymmetric": True, **options},
        )
        quantizer.quantize_model()
    lowered = quantizer.model.model
    assert isinstance(lowered, onnx.ModelProto)
    return lowered
