"""Decides what an Open Inference Protocol v2 request means in arrays, and how arrays become its response; bytes in, bytes out."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from math import prod
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from agent.runtimes.port import Array, Arrays
from agent.worker.errors import BadRequestError
from contracts.codec import invalid_document
from contracts.preprocess import Preprocess
from contracts.tensors import NUMPY_DTYPES, Datatype, Dimension, TensorSpec

# Samples in one request; they run one after the other.
MAX_BATCH = 64
MAX_TENSORS = 64
# A photo of 16 million pixels of three colours, for inputs that take any size.
MAX_PHOTO_VALUES = 3 << 24
MAX_JSON_HEADER_BYTES = 64 * 1024
# A float32 in JSON: sign, nine digits, point, exponent, comma and a space.
JSON_BYTES_PER_VALUE = 18

# The wire is little-endian whatever the machine.
_WIRE_DTYPES = {datatype: np.dtype(name).newbyteorder("<") for datatype, name in NUMPY_DTYPES.items()}
# Which of numpy's kinds JSON numbers may have become, by the kind of the datatype.
_JSON_KINDS = {"b": "b", "u": "iu", "i": "iu", "f": "iuf"}

TensorName = Annotated[str, Field(max_length=200)]


class _Part(BaseModel, frozen=True, extra="ignore"):
    """A part of the request's JSON; the protocol lets callers add parameters that we do not know."""


class _InputParameters(_Part):
    binary_data_size: Annotated[int, Field(ge=0)] | None = None
    # Shared memory is refused, not ignored: its tensor would seem to be empty.
    shared_memory_region: None = None


class _Input(_Part):
    name: TensorName
    shape: Annotated[tuple[Dimension, ...], Field(max_length=9)]
    datatype: Datatype
    parameters: _InputParameters = _InputParameters()
    data: list[Any] | None = None


class _OutputParameters(_Part):
    binary_data: bool | None = None
    # Triton's ranking of classes is not offered.
    classification: Literal[0] = 0


class _Output(_Part):
    name: TensorName
    parameters: _OutputParameters = _OutputParameters()


class _RequestParameters(_Part):
    binary_data_output: bool = False


class _Request(_Part):
    id: Annotated[str, Field(max_length=200)] = ""
    parameters: _RequestParameters = _RequestParameters()
    inputs: Annotated[tuple[_Input, ...], Field(max_length=MAX_TENSORS)]
    outputs: Annotated[tuple[_Output, ...], Field(max_length=MAX_TENSORS)] = ()


_REQUEST = TypeAdapter(_Request)


@dataclass(frozen=True)
class WantedOutput:
    """An output the caller asks for, and whether as bytes or as JSON."""

    spec: TensorSpec
    is_binary: bool


@dataclass(frozen=True)
class InferRequest:
    """What a caller wants: arrays of shape [count, ...sample] by input name."""

    id: str
    inputs: Arrays
    count: int
    wanted: tuple[WantedOutput, ...]


@dataclass(frozen=True)
class Signature:
    """The tensors of one served release, and the names that its responses carry."""

    model: str
    version: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    # What raw images pass, and the inputs that are images: these may be of any size that leads to the same input.
    preprocess: Preprocess = field(default_factory=Preprocess)
    images: frozenset[str] = frozenset()

    @property
    def max_request_bytes(self) -> int:
        """The largest body anyone needs: a full batch in binary, one sample in JSON or one large photo, and the JSON header."""
        return MAX_JSON_HEADER_BYTES + sum(self._max_tensor_bytes(spec) for spec in self.inputs)

    def takes(self, spec: TensorSpec, shape: tuple[int, ...]) -> bool:
        """Say whether one sample of an input may have a shape."""
        return spec.accepts_shape(shape) or (spec.name in self.images and self.preprocess.leads_alike(shape, spec.shape))

    def _max_tensor_bytes(self, spec: TensorSpec) -> int:
        size = int(_WIRE_DTYPES[spec.datatype].itemsize)
        usual = prod(spec.shape) * max(MAX_BATCH * size, JSON_BYTES_PER_VALUE)
        is_any_size = spec.name in self.images and self.preprocess.takes_any_size
        return max(usual, MAX_PHOTO_VALUES * size) if is_any_size else usual


def decode_request(signature: Signature, body: bytes, json_bytes: int | None) -> InferRequest:
    """Read an infer request whose first `json_bytes` bytes (all when None) are JSON; raise BadRequestError."""
    if json_bytes is not None and json_bytes > len(body):
        raise BadRequestError(f"Inference-Header-Content-Length: expected at most {len(body)}, the body's length, found {json_bytes}")
    try:
        request = _REQUEST.validate_json(body if json_bytes is None else body[:json_bytes])
    except ValidationError as error:
        raise BadRequestError(str(invalid_document("request", error))) from error
    given = {tensor.name for tensor in request.inputs}
    expected = {spec.name for spec in signature.inputs}
    if given != expected or len(request.inputs) != len(expected):
        raise BadRequestError(f"inputs: expected each of {sorted(expected)} once, found {[tensor.name for tensor in request.inputs]}")
    arrays, counts = _decode_inputs(signature, request.inputs, memoryview(body)[len(body) if json_bytes is None else json_bytes :])
    if len(counts) != 1:
        raise BadRequestError(f"inputs: expected equal numbers of samples, found {sorted(counts)}")
    return InferRequest(request.id, arrays, counts.pop(), _wanted_outputs(signature, request))


def encode_response(signature: Signature, request: InferRequest, outputs: Arrays) -> tuple[bytes, int | None]:
    """Return the body, and the length of its JSON header when binary tensors follow; ValueError for a NaN that JSON cannot carry."""
    described: list[dict[str, object]] = []
    tails: list[bytes] = []
    for wanted in request.wanted:
        spec, values = wanted.spec, outputs[wanted.spec.name]
        entry: dict[str, object] = {"name": spec.name, "datatype": spec.datatype, "shape": values.shape}
        if wanted.is_binary:
            tails.append(values.astype(_WIRE_DTYPES[spec.datatype], copy=False).tobytes())
            entry["parameters"] = {"binary_data_size": len(tails[-1])}
        else:
            entry["data"] = values.reshape(-1).tolist()
        described.append(entry)
    document: dict[str, object] = {"model_name": signature.model, "model_version": signature.version, "outputs": described}
    if request.id:
        document["id"] = request.id
    head = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    return (b"".join([head, *tails]), len(head)) if tails else (head, None)


def _decode_inputs(signature: Signature, tensors: tuple[_Input, ...], tail: memoryview) -> tuple[Arrays, set[int]]:
    specs = {spec.name: spec for spec in signature.inputs}
    arrays: Arrays = {}
    counts: set[int] = set()
    offset = 0
    for tensor in tensors:
        spec = specs[tensor.name]
        if tensor.datatype != spec.datatype:
            raise BadRequestError(f"input {spec.name}: expected datatype {spec.datatype}, found {tensor.datatype}")
        count, sample = _samples(signature, spec, tensor.shape)
        size = tensor.parameters.binary_data_size
        if size is None:
            values = _from_json(tensor)
        else:
            values = _from_bytes(tensor, tail[offset : offset + size], size)
            offset += size
        arrays[spec.name] = values.reshape(count, *sample)
        counts.add(count)
    if offset != len(tail):
        raise BadRequestError(f"body: expected {offset} bytes of binary tensors after the JSON, found {len(tail)}")
    return arrays, counts


def _samples(signature: Signature, spec: TensorSpec, shape: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
    """Return how many samples a tensor of this shape holds, and the shape of each."""
    if spec.accepts_shape(shape):
        return 1, spec.shape[1:]
    if shape and shape[0] <= MAX_BATCH and signature.takes(spec, (1, *shape[1:])):
        return shape[0], spec.shape[1:] if spec.accepts_shape((1, *shape[1:])) else shape[1:]
    sample = ", ".join(map(str, open_shape(signature, spec)[1:]))
    raise BadRequestError(f"input {spec.name}: expected shape [n, {sample}] with n from 1 to {MAX_BATCH}, found {list(shape)}")


def open_shape(signature: Signature, spec: TensorSpec) -> tuple[int, ...]:
    """Return a sample's shape as the protocol writes it: -1 for the height and width of images of any size."""
    if spec.name not in signature.images or not signature.preprocess.takes_any_size:
        return spec.shape
    first = 2 if signature.preprocess.source == "CHW" and len(spec.shape) == 4 else 1
    return (*spec.shape[:first], -1, -1, *spec.shape[first + 2 :])


def _from_bytes(tensor: _Input, raw: memoryview, size: int) -> Array:
    dtype = _WIRE_DTYPES[tensor.datatype]
    needed = prod(tensor.shape) * dtype.itemsize
    if tensor.data is not None or size != needed or len(raw) != size:
        found = "JSON data as well" if tensor.data is not None else f"binary_data_size {size} and {len(raw)} bytes"
        raise BadRequestError(f"input {tensor.name}: expected {needed} bytes of binary data, found {found}")
    values: Array = np.frombuffer(raw, dtype)
    # Any byte but zero is true; numpy itself would keep it as it came.
    return values.view(np.uint8) != 0 if tensor.datatype == "BOOL" else values


def _from_json(tensor: _Input) -> Array:
    dtype, needed = _WIRE_DTYPES[tensor.datatype], prod(tensor.shape)
    try:
        values: Array = np.array(tensor.data if tensor.data is not None else [])
    except (ValueError, OverflowError) as error:
        raise BadRequestError(f"input {tensor.name}: expected {needed} numbers, found {error}") from error
    if values.size != needed or values.dtype.kind not in _JSON_KINDS[dtype.kind]:
        found = "numbers" if values.dtype.kind in "iuf" else "other values"
        raise BadRequestError(f"input {tensor.name}: expected {needed} values of {tensor.datatype}, found {values.size} {found}")
    if dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        if int(values.min()) < bounds.min or int(values.max()) > bounds.max:
            raise BadRequestError(f"input {tensor.name}: expected values from {bounds.min} to {bounds.max}, found one outside")
    return values.astype(dtype)


def _wanted_outputs(signature: Signature, request: _Request) -> tuple[WantedOutput, ...]:
    default = request.parameters.binary_data_output
    if not request.outputs:
        return tuple(WantedOutput(spec, default) for spec in signature.outputs)
    specs = {spec.name: spec for spec in signature.outputs}
    unknown = [output.name for output in request.outputs if output.name not in specs]
    if unknown or len({output.name for output in request.outputs}) != len(request.outputs):
        raise BadRequestError(f"outputs: expected some of {list(specs)}, each once, found {[output.name for output in request.outputs]}")
    return tuple(
        WantedOutput(specs[output.name], default if output.parameters.binary_data is None else output.parameters.binary_data)
        for output in request.outputs
    )
