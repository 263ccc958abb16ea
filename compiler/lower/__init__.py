"""Lowerings: from one float graph and its plan to the file that one kind of device runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx
from onnxruntime.quantization.onnx_model import ONNXModel

from compiler.errors import TargetError
from compiler.graph.normalise import sealed
from compiler.lower import ort, tensorrt
from compiler.quantize.plan import Plan
from compiler.targets import LoweringName, TargetProfile

Lowering = Callable[[onnx.ModelProto, Plan], onnx.ModelProto]


@dataclass(frozen=True)
class Recast:
    """How a lowering writes a model: `steps` is how many distinct values its numbers have across their range."""

    apply: Lowering
    precision: str
    steps: int


LOWERINGS: dict[LoweringName, Recast] = {
    "ort-u8s8": Recast(ort.to_u8s8, "int8", 255),
    "ort-s8s8": Recast(ort.to_s8s8, "int8", 255),
    "tensorrt-int8": Recast(tensorrt.to_int8, "int8", 255),
    "tensorrt-fp16": Recast(tensorrt.to_fp16, "fp16", 1024),
}


def lower(profile: TargetProfile, model: onnx.ModelProto, plan: Plan) -> bytes:
    """Return the file that a target's devices load; raise TargetError when the model cannot be lowered so."""
    try:
        lowered = ONNXModel(LOWERINGS[profile.lowering].apply(model, plan))
        lowered.topological_sort()  # the half-precision converter puts casts last, which ONNX forbids and ONNX Runtime lets pass
        raw = sealed(lowered.model)
        onnx.checker.check_model(raw)
    except (ValueError, RuntimeError, KeyError, onnx.checker.ValidationError) as error:
        raise TargetError(profile.name, f"cannot be lowered by {profile.lowering}: {error}") from error
    return raw
