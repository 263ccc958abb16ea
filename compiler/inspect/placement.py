"""Says for each target how a model's operators would run there: as integers, in float, or not at all; without compiling it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal

import onnx
from pydantic import BaseModel

from compiler.edgetpu.document import EdgeTpuPrediction, prediction_of
from compiler.errors import CompilerError
from compiler.importers.tflite.flatbuffer import read_flat
from compiler.lower import LOWERINGS, ort, tensorrt
from compiler.lower.tflite.preview import assumed_plan, integer_forms
from compiler.targets import TargetProfile, load_profile, target_names

Elsewhere = Literal["float", "fp16", "the device's CPU"]
# Nodes that compute nothing.
_NOTHING = {"Constant", "Identity"}
_LOWERING_FAULTS = (CompilerError, KeyError, ValueError, IndexError, TypeError, AssertionError)


class Placement(BaseModel, frozen=True, extra="forbid"):
    """One target: `integer` and `other` count operators by kind."""

    title: str
    runtime: str
    lowering: str
    # Where the operators outside `integer` run.
    elsewhere: Elsewhere
    integer: dict[str, int]
    other: dict[str, int]
    # What keeps the model from this target as it is, such as an operator without an integer form; null where nothing does.
    refusal: str | None = None
    # On a Coral: where each operator of the int8 file would run.
    edge_tpu: EdgeTpuPrediction | None = None


def placements(model: onnx.ModelProto) -> dict[str, Placement]:
    """Return every target's placement of a float graph's operators, as the target's own lowering would write them."""
    in_tflite = integer_forms(model)
    return {name: _placed(model, load_profile(name), in_tflite) for name in target_names()}


def _placed(model: onnx.ModelProto, profile: TargetProfile, in_tflite: dict[str, str | None]) -> Placement:
    if profile.lowering == "tflite-edgetpu":
        return _on_edge_tpu(model, profile, in_tflite)
    if profile.runtime == "litert":
        return _split(model, profile, {name for name, why in in_tflite.items() if why is None}, "float")
    if profile.lowering.startswith("tensorrt"):
        kinds = frozenset[str]() if profile.lowering == "tensorrt-fp16" else tensorrt.INTEGER
        return _split(model, profile, _of_kinds(model, kinds), "fp16")
    return _split(model, profile, _of_kinds(model, ort.INTEGER), "float")


def _of_kinds(model: onnx.ModelProto, kinds: frozenset[str]) -> set[str]:
    return {node.name for node in model.graph.node if node.op_type in kinds}


def _split(
    model: onnx.ModelProto, profile: TargetProfile, integer: set[str], elsewhere: Elsewhere, refusal: str | None = None
) -> Placement:
    nodes = [node for node in model.graph.node if node.op_type not in _NOTHING]
    return Placement(
        title=profile.title,
        runtime=profile.runtime,
        lowering=profile.lowering,
        elsewhere=elsewhere,
        integer=_counted(node.op_type for node in nodes if node.name in integer),
        other=_counted(node.op_type for node in nodes if node.name not in integer),
        refusal=refusal,
    )


def _on_edge_tpu(model: onnx.ModelProto, profile: TargetProfile, in_tflite: dict[str, str | None]) -> Placement:
    """Write the int8 file with made-up ranges and ask the oracle; where it cannot be written, say why."""
    try:
        flat = read_flat(LOWERINGS[profile.lowering].apply(model, assumed_plan(model)), profile.name)
    except _LOWERING_FAULTS as error:
        return _split(model, profile, {name for name, why in in_tflite.items() if why is None}, "the device's CPU", str(error))
    prediction = prediction_of(flat)
    return Placement(
        title=profile.title,
        runtime=profile.runtime,
        lowering=profile.lowering,
        elsewhere="the device's CPU",
        integer=prediction.kinds("tpu"),
        other=prediction.kinds("cpu", "unknown"),
        edge_tpu=prediction,
    )


def _counted(kinds: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(kinds).items()))
