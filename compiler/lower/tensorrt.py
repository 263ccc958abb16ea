"""Lowers by TensorRT's placement rules, for engines that are built on the Jetson itself."""

from __future__ import annotations

import onnx
from onnxruntime.quantization import QuantType, TensorsData
from onnxruntime.transformers.float16 import convert_float_to_float16

from compiler.lower.ort import quantized

WEIGHTED_OPS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
# These do not commute with scaling, so their inputs are quantized as well; reshaping, slicing and maxima do.
POOLS_AND_SUMS = ("Add", "AveragePool", "GlobalAveragePool")


def to_int8(model: onnx.ModelProto, ranges: TensorsData) -> onnx.ModelProto:
    """Quantize what goes into the weighted operators, with zero point 0; bias and what comes out stay float.

    TensorRT fuses the following activation in float and folds the weights' Q/DQ pair while it builds the engine:
    docs.nvidia.com/deeplearning/tensorrt, "Working with Quantized Types".
    """
    rules = {
        "ActivationSymmetric": True,
        "AddQDQPairToWeight": True,
        "DedicatedQDQPair": False,
        "QuantizeBias": False,
        "QDQDisableWeightAdjustForInt32Bias": True,
        "OpTypesToExcludeOutputQuantization": [*WEIGHTED_OPS, *POOLS_AND_SUMS],
    }
    return quantized(model, ranges, QuantType.QInt8, (*WEIGHTED_OPS, *POOLS_AND_SUMS), rules)


def to_fp16(model: onnx.ModelProto, ranges: TensorsData) -> onnx.ModelProto:  # noqa: ARG001 - fp16 needs no ranges
    """Store and compute in half precision; inputs and outputs stay float32."""
    lowered = convert_float_to_float16(model, keep_io_types=True)
    assert isinstance(lowered, onnx.ModelProto)
    return lowered
