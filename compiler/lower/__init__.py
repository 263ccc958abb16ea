"""Lowerings: from one float graph and its plan to the file that one kind of device runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import onnx
from onnxruntime.quantization.onnx_model import ONNXModel

from compiler.errors import CompilerError, TargetError
from compiler.graph.normalise import sealed
from compiler.lower import ort, ort_weights, tensorrt
from compiler.lower.tflite import TfliteForm, to_tflite
from compiler.quantize.plan import Plan
from compiler.targets import LoweringName, TargetProfile


@dataclass(frozen=True)
class Recast:
    """How a lowering writes a model's file: `steps` is how many distinct values its numbers have across their range."""

    apply: Callable[[onnx.ModelProto, Plan], bytes]
    precision: str
    steps: int


def _as_onnx(lowering: Callable[[onnx.ModelProto, Plan], onnx.ModelProto], model: onnx.ModelProto, plan: Plan) -> bytes:
    lowered = ONNXModel(lowering(model, plan))
    lowered.topological_sort()  # the half-precision converter puts casts last, which ONNX forbids and ONNX Runtime lets pass
    raw = sealed(lowered.model)
    onnx.checker.check_model(raw)
    return raw


def _as_tflite(form: TfliteForm, model: onnx.ModelProto, plan: Plan) -> bytes:
    return to_tflite(model, plan, form)


LOWERINGS: dict[LoweringName, Recast] = {
    "ort-u8s8": Recast(partial(_as_onnx, ort.to_u8s8), "int8", 255),
    "ort-s8s8": Recast(partial(_as_onnx, ort.to_s8s8), "int8", 255),
    "ort-dynamic": Recast(partial(_as_onnx, ort_weights.to_dynamic_int8), "int8-dynamic", 255),
    "ort-int4": Recast(partial(_as_onnx, ort_weights.to_int4_weights), "int4-weights", 255),
    "tensorrt-int8": Recast(partial(_as_onnx, tensorrt.to_int8), "int8", 255),
    "tensorrt-fp16": Recast(partial(_as_onnx, tensorrt.to_fp16), "fp16", 1024),
    "tflite-int8": Recast(partial(_as_tflite, TfliteForm("int8", has_islands=True)), "int8", 255),
    "tflite-int16": Recast(partial(_as_tflite, TfliteForm("int16", has_islands=True)), "int16", 65535),
    "tflite-float16": Recast(partial(_as_tflite, TfliteForm("float16")), "fp16", 1024),
    "tflite-dynamic": Recast(partial(_as_tflite, TfliteForm("dynamic")), "dynamic", 255),
    "tflite-float32": Recast(partial(_as_tflite, TfliteForm("float32")), "float", 65535),
}


def lower(profile: TargetProfile, model: onnx.ModelProto, plan: Plan) -> bytes:
    """Return the file that a target's devices load; raise TargetError when the model cannot be lowered so."""
    try:
        if profile.is_integer_only:
            return to_tflite(model, plan, TfliteForm("int8"))
        return LOWERINGS[profile.lowering].apply(model, plan)
    except (CompilerError, RuntimeError, onnx.checker.ValidationError) as error:
        raise TargetError(profile.name, f"cannot be lowered by {profile.lowering}: {error}") from error
    except (AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
        found = f"a graph that this lowering was not made for ({type(error).__name__}: {error}); choose another lowering, and report it"
        raise TargetError(profile.name, f"cannot be lowered by {profile.lowering}: {found}") from error
