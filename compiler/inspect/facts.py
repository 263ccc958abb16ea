"""What `inspect` says of one model, as a document; found in a process of its own, for any bytes may be given as a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import onnx
from onnx import shape_inference
from pydantic import BaseModel

from compiler.edgetpu.document import EdgeTpuPrediction, prediction_of
from compiler.edgetpu.requirements import FIXED_POINT
from compiler.errors import ModelError
from compiler.graph.normalise import normalise
from compiler.importers.dispatch import may_be_onnx, read_model
from compiler.importers.files import is_tflite, read_file
from compiler.importers.notes import notes_of
from compiler.importers.onnx import parsed
from compiler.importers.shapes import Shapes, shapes_of
from compiler.importers.tflite.flatbuffer import FlatModel, read_flat
from compiler.inspect import from_onnx, from_tflite
from compiler.inspect.network import Network
from compiler.inspect.placement import Placement, placements
from compiler.isolation import run_isolated

MAX_FILE_BYTES = 2**31 - 1
TIMEOUT_S = 900.0
# What simplifying raises on graphs that are valid by their form alone.
_SIMPLIFYING_FAULTS = (
    ValueError,
    RuntimeError,
    KeyError,
    TypeError,
    IndexError,
    AttributeError,
    ZeroDivisionError,
    shape_inference.InferenceError,
)


class Part(BaseModel, frozen=True, extra="forbid"):
    """A part of the document."""


class TensorFacts(Part):
    """One input or output; a size that the file leaves open is null."""

    name: str
    datatype: str
    shape: tuple[int | None, ...] | None


class PeakFacts(Part):
    """The most memory that activations take at one time, when every result has a place of its own, and where that is."""

    bytes: int
    step: str
    op: str


class QuantizedFacts(Part):
    """Weights that the file stores in fewer than 32 bits: how many of the parameters, by datatype."""

    parameters: int
    datatypes: dict[str, int]


class Facts(Part):
    """The whole document."""

    schema_version: Literal[1] = 1
    source: str
    format: str
    bytes: int | None
    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    operators: dict[str, int]
    parameters: int
    parameter_bytes: int
    # Null where the file leaves a size open.
    macs: int | None
    peak_activations: PeakFacts | None
    quantized: QuantizedFacts | None
    # Why it cannot be compiled; null for a model that can.
    refusal: str | None
    notes: tuple[str, ...]
    targets: dict[str, Placement]
    # Of a .tflite file with integer tensors: where an Edge TPU would run each operator of this very file.
    edge_tpu: EdgeTpuPrediction | None = None


def facts_of(source: str, shapes: Shapes) -> Facts:
    """Return what is known of a model; raise ModelError when it cannot even be read."""
    request = {"source": source, "shapes": {name: list(shape) for name, shape in shapes.items()}}
    return Facts.model_validate_json(run_isolated("compiler.inspect.facts:examined", request, source, TIMEOUT_S))


def examined(request: Mapping[str, Any]) -> bytes:
    """Answer a request of facts_of."""
    source, shapes = str(request["source"]), shapes_of(request)
    imported, refusal = _imported(source, shapes)
    file = Path(source)
    edge_tpu = None
    if is_tflite(file):
        flat = read_flat(read_file(file, "a model", MAX_FILE_BYTES), source)
        network, edge_tpu = from_tflite.network_of(flat), _edge_tpu(flat)
    elif imported is not None and file.suffix != ".onnx":
        network = from_onnx.network_of(imported)
    elif refusal is not None and not may_be_onnx(source):
        raise refusal
    else:
        network = from_onnx.network_of(_as_it_is(file, imported, refusal))
    facts = _facts(source, network, imported, refusal)
    return facts.model_copy(update={"edge_tpu": edge_tpu}).model_dump_json().encode()


def _edge_tpu(flat: FlatModel) -> EdgeTpuPrediction | None:
    """Ask the oracle about a file that computes with 8-bit integers somewhere; a float file is for none."""
    computes = any(tensor.datatype in FIXED_POINT for tensor in flat.tensors if tensor.data is None)
    return prediction_of(flat) if computes else None


def _imported(source: str, shapes: Shapes) -> tuple[onnx.ModelProto | None, ModelError | None]:
    try:
        return read_model(source, shapes), None
    except ModelError as error:
        return None, error


def _as_it_is(file: Path, imported: onnx.ModelProto | None, refusal: ModelError | None) -> onnx.ModelProto:
    """Return the graph that a file holds, though it may not be one that can be compiled; raise the refusal where there is none."""
    try:
        model = parsed(file)
        if not model.graph.node:
            raise refusal or ModelError(str(file), "graph", "nodes", "none")
        settled = {value.name: value for value in (imported.graph.input if imported is not None else ())}
        for value in model.graph.input:
            if value.name in settled:
                value.CopyFrom(settled[value.name])
            elif value.type.tensor_type.shape.dim and not value.type.tensor_type.shape.dim[0].dim_value:
                value.type.tensor_type.shape.dim[0].dim_value = 1
        declared = {value.name: onnx.TypeProto.FromString(value.type.SerializeToString()) for value in model.graph.output}
        for value in model.graph.output:
            value.type.tensor_type.ClearField("shape")
        del model.graph.value_info[:]
        inferred = shape_inference.infer_shapes(model, data_prop=True)
        for value in inferred.graph.output:
            if not value.type.tensor_type.HasField("shape"):
                value.type.CopyFrom(declared[value.name])
        return inferred
    except (shape_inference.InferenceError, ValueError) as error:
        raise refusal or ModelError(str(file), "content", "a model", str(error)) from error


def _facts(source: str, network: Network, imported: onnx.ModelProto | None, refusal: ModelError | None) -> Facts:
    file = Path(source)
    simplified, objection = (None, None) if imported is None else _simplified(imported)
    refusal = refusal or objection
    # Shapes that the file computes while it runs are known once it is simplified.
    is_open = simplified is not None and (network.peak() is None or network.macs() is None)
    sized = from_onnx.network_of(simplified) if simplified is not None and is_open else network
    peak = sized.peak()
    return Facts(
        source=source,
        format=network.format,
        bytes=file.stat().st_size if file.is_file() else None,
        inputs=tuple(_tensor(network, name) for name in network.inputs),
        outputs=tuple(_tensor(network, name) for name in network.outputs),
        operators=network.operators(),
        parameters=network.parameter_count(),
        parameter_bytes=network.parameter_bytes(),
        macs=sized.macs(),
        peak_activations=None if peak is None else PeakFacts(bytes=peak.bytes, step=peak.step, op=peak.op),
        quantized=_quantized(network),
        refusal=None if refusal is None else f"{refusal.field}: expected {refusal.expected}, found {refusal.found}",
        notes=() if imported is None else notes_of(imported),
        targets={} if simplified is None else placements(simplified),
    )


def _simplified(imported: onnx.ModelProto) -> tuple[onnx.ModelProto | None, ModelError | None]:
    """Return the graph's normal form, or why there is none; neither where its operators cannot be worked through."""
    try:
        return normalise(imported), None
    except ModelError as error:
        return None, error
    except _SIMPLIFYING_FAULTS:
        return None, None


def _tensor(network: Network, name: str) -> TensorFacts:
    value = network.values.get(name)
    return TensorFacts(name=name, datatype=value.datatype if value else "unknown", shape=value.shape if value else None)


def _quantized(network: Network) -> QuantizedFacts | None:
    if not network.shortened:
        return None
    datatypes: dict[str, int] = {}
    for name in sorted(network.shortened):
        value = network.values[name]
        datatypes[value.datatype] = datatypes.get(value.datatype, 0) + 1
    return QuantizedFacts(parameters=sum(network.values[name].elements or 0 for name in network.shortened), datatypes=datatypes)
