"""Lowerings: from one float graph and its plan to the file that one kind of device runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import onnx
from onnx.version_converter import ConvertError

from compiler.errors import CompilerError, TargetError
from compiler.graph.normalise import sealed
from compiler.lower import ort, ort_weights, tensorrt
from compiler.lower.tflite import Place, TfliteForm, to_tflite, traced
from compiler.quantize.plan import Plan
from compiler.targets import LoweringName, TargetProfile


@dataclass(frozen=True)
class Recast:
    """How a lowering writes a model's file: `steps` is how many distinct values its numbers have across their range."""

    apply: Callable[[onnx.ModelProto, Plan], bytes]
    precision: str
    steps: int


def _as_onnx(lowering: Callable[[onnx.ModelProto, Plan], onnx.ModelProto], model: onnx.ModelProto, plan: Plan) -> bytes:
    raw = sealed(lowering(model, plan))
    onnx.checker.check_model(raw)
    return raw


TFLITE_FORMS: dict[LoweringName, TfliteForm] = {
    "tflite-int8": TfliteForm("int8", has_islands=True),
    "tflite-int8-float-io": TfliteForm("int8", io="float", has_islands=True),
    "tflite-edgetpu": TfliteForm("int8", for_edge_tpu=True),
    "tflite-int16": TfliteForm("int16", has_islands=True),
    "tflite-float16": TfliteForm("float16"),
    "tflite-dynamic": TfliteForm("dynamic"),
    "tflite-float32": TfliteForm("float32"),
}


def _as_tflite(name: LoweringName, model: onnx.ModelProto, plan: Plan) -> bytes:
    return to_tflite(model, plan, TFLITE_FORMS[name])


LOWERINGS: dict[LoweringName, Recast] = {
    "ort-u8s8": Recast(partial(_as_onnx, ort.to_u8s8), "int8", 255),
    "ort-s8s8": Recast(partial(_as_onnx, ort.to_s8s8), "int8", 255),
    "ort-dynamic": Recast(partial(_as_onnx, ort_weights.to_dynamic_int8), "int8-dynamic", 255),
    "ort-int4": Recast(partial(_as_onnx, ort_weights.to_int4_weights), "int4-weights", 255),
    "tensorrt-int8": Recast(partial(_as_onnx, tensorrt.to_int8), "int8-fp16", 255),
    "tensorrt-int8-fp16": Recast(partial(_as_onnx, tensorrt.to_int8_fp16), "int8-fp16", 255),
    "tensorrt-fp16": Recast(partial(_as_onnx, tensorrt.to_fp16), "fp16", 1024),
    "tflite-int8": Recast(partial(_as_tflite, "tflite-int8"), "int8", 255),
    "tflite-int8-float-io": Recast(partial(_as_tflite, "tflite-int8-float-io"), "int8", 255),
    "tflite-edgetpu": Recast(partial(_as_tflite, "tflite-edgetpu"), "int8", 255),
    "tflite-int16": Recast(partial(_as_tflite, "tflite-int16"), "int16", 65535),
    "tflite-float16": Recast(partial(_as_tflite, "tflite-float16"), "fp16", 1024),
    "tflite-dynamic": Recast(partial(_as_tflite, "tflite-dynamic"), "dynamic", 255),
    "tflite-float32": Recast(partial(_as_tflite, "tflite-float32"), "float", 65535),
}


def lower(profile: TargetProfile, model: onnx.ModelProto, plan: Plan) -> bytes:
    """Return the file that a target's devices load; raise TargetError when the model cannot be lowered so."""
    try:
        return LOWERINGS[profile.lowering].apply(model, plan)
    except (CompilerError, RuntimeError, onnx.checker.ValidationError, ConvertError) as error:
        raise TargetError(profile.name, f"cannot be lowered by {profile.lowering}: {error}") from error
    except (AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
        found = f"a graph that this lowering was not made for ({type(error).__name__}: {error}); choose another lowering, and report it"
        raise TargetError(profile.name, f"cannot be lowered by {profile.lowering}: {found}") from error


def traced_tflite(profile: TargetProfile, model: onnx.ModelProto, plan: Plan) -> tuple[bytes, dict[str, Place]]:
    """Return a target's `.tflite` file once more, and where the graph's tensors lie in it."""
    return traced(model, plan, TFLITE_FORMS[profile.lowering])
