"""Says for each target how a model's operators would run there: as integers, in float, or not at all; without compiling it."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import onnx
from pydantic import BaseModel

from compiler.targets import TargetProfile, load_profile, target_names

# Operators that ONNX Runtime's CPU has integer kernels for, or that move numbers without changing them.
_MOVES = {"Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "Identity", "Pad", "Reshape", "Resize", "Slice", "SpaceToDepth", "Split"}
_MOVES |= {"Squeeze", "Tile", "Transpose", "Unsqueeze", "Clip", "MaxPool", "Relu", "GlobalMaxPool"}
_ORT = _MOVES | {"Add", "AveragePool", "Conv", "Gemm", "GlobalAveragePool", "LeakyRelu", "MatMul", "Mul", "Sigmoid", "Softmax"}
# LiteRT's int8 kernels, by the ONNX operator that becomes one.
_LITERT = _ORT | {"BatchNormalization", "ConvTranspose", "Elu", "HardSigmoid", "HardSwish", "Log", "LogSoftmax", "Max", "Min", "PRelu"}
_LITERT |= {"ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "Sub", "Tanh", "Abs", "Div", "Exp", "Gelu", "Neg", "Sqrt"}
# coral.ai/docs/edgetpu/models-intro, "Supported operations", version 16; what it lacks runs on the device's CPU.
_EDGE_TPU = _LITERT - {"Div", "Elu", "Exp", "Gather", "Gelu", "HardSigmoid", "LeakyRelu", "Log", "LogSoftmax", "Neg", "Sqrt", "Abs"}
# TensorRT's int8 layers: what is multiplied, pooled or added, and what moves numbers.
_TENSORRT = _MOVES | {"Add", "AveragePool", "Conv", "ConvTranspose", "Gemm", "GlobalAveragePool", "MatMul"}


class Placement(BaseModel, frozen=True, extra="forbid"):
    """One target: `integer` and `other` count operators by kind."""

    title: str
    runtime: str
    lowering: str
    # Where the operators outside `integer` run.
    elsewhere: Literal["float", "fp16", "the device's CPU"]
    integer: dict[str, int]
    other: dict[str, int]


def placements(model: onnx.ModelProto) -> dict[str, Placement]:
    """Return every target's placement of a float graph's operators."""
    return {name: _placed(model, name) for name in target_names()}


def _placed(model: onnx.ModelProto, name: str) -> Placement:
    profile = load_profile(name)
    known, elsewhere = _known(profile)
    constant = {"Constant", "Identity"}
    counts = Counter(node.op_type for node in model.graph.node if node.op_type not in constant)
    return Placement(
        title=profile.title,
        runtime=profile.runtime,
        lowering=profile.lowering,
        elsewhere=elsewhere,
        integer={kind: count for kind, count in sorted(counts.items()) if kind in known},
        other={kind: count for kind, count in sorted(counts.items()) if kind not in known},
    )


def _known(profile: TargetProfile) -> tuple[set[str], Literal["float", "fp16", "the device's CPU"]]:
    lowering = profile.lowering
    if profile.name == "coral":
        return _EDGE_TPU, "the device's CPU"
    if lowering.startswith("tensorrt"):
        return (set() if lowering.endswith("fp16") else _TENSORRT), "fp16"
    if profile.runtime == "litert":
        return _LITERT, "float"
    return _ORT, "float"
