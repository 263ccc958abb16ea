"""Lowerings: from one float graph and its plan to the file that one kind of device runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx
from onnxruntime.quantization.onnx_model import ONNXModel

from compiler.errors import TargetError
from compiler.graph.normalise import sealed
from compiler.lower import ort, ort_weights, tensorrt
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
    "ort-dynamic": Recast(ort_weights.to_dynamic_int8, "int8-dynamic", 255),
    "ort-int4": Recast(ort_weights.to_int4_weights, "int4-weights", 255),
    "tensorrt-int8": Recast(tensorrt.to_int8, "int8", 255),
    "tensorrt-fp16": Recast(tensorrt.to_fp16, "fp16", 1024),
}

PROFILES_OWN = "auto"
# What can be asked for instead of a profile's own lowering, and for which lowerings.
PRECISIONS: dict[str, dict[LoweringName, LoweringName]] = {
    PROFILES_OWN: {},
    "int8-dynamic": {"ort-u8s8": "ort-dynamic", "ort-s8s8": "ort-dynamic"},
    "int4-weights": {"ort-u8s8": "ort-int4", "ort-s8s8": "ort-int4"},
}


def with_precision(profile: TargetProfile, precision: str) -> TargetProfile:
    """Return the profile with the lowering that writes it in `precision`; raise TargetError where there is none."""
    if precision == PROFILES_OWN:
        return profile
    if profile.lowering not in PRECISIONS[precision]:
        offered = [name for name, forms in PRECISIONS.items() if name == PROFILES_OWN or profile.lowering in forms]
        raise TargetError(profile.name, f"precision: expected {' or '.join(offered)}, found {precision}")
    why = f"{precision} was asked for with --precision"
    return profile.model_copy(update={"lowering": PRECISIONS[precision][profile.lowering], "why": why})


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
