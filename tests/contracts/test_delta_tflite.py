"""A delta knows the weights of TensorFlow Lite files: those that LiteRT's own reader finds, and it codes only what changed in them."""

from __future__ import annotations

import io
import tempfile

import flatbuffers
import numpy as np
import numpy.typing as npt
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.codec import sha256_of
from contracts.delta.apply import apply, read_header
from contracts.delta.encode import encode, weights_of
from contracts.delta.tflite_weights import tflite_weights
from tests.shared_data import shared_file

CHANCE = np.random.default_rng(5)
TYPES = {"int8": schema.TensorType.INT8, "float32": schema.TensorType.FLOAT32, "int32": schema.TensorType.INT32}
Array = npt.NDArray[np.generic]


def model(*constants: Array) -> bytes:
    """Return a .tflite file with these constants, without names, and nothing else."""
    whole = schema.ModelT()
    whole.version = 3
    whole.buffers = [schema.BufferT()]
    graph = schema.SubGraphT()
    graph.tensors = []
    for array in constants:
        tensor, buffer = schema.TensorT(), schema.BufferT()
        tensor.shape, tensor.type, tensor.buffer = list(array.shape), TYPES[array.dtype.name], len(whole.buffers)
        buffer.data = np.frombuffer(array.tobytes(), np.uint8)
        graph.tensors.append(tensor)
        whole.buffers.append(buffer)
    whole.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(whole.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def int8(*shape: int) -> Array:
    return CHANCE.normal(0, 40, shape).clip(-127, 127).astype(np.int8)


def nudged(weights: Array) -> Array:
    """Move three weights in ten by one."""
    steps = CHANCE.choice([-1, 0, 1], weights.shape, p=[0.15, 0.7, 0.15])
    return np.asarray(np.clip(weights.astype(np.int64) + steps, -127, 127), np.int8)


def applied(base: bytes, delta: bytes, target: bytes) -> bytes:
    with tempfile.TemporaryFile() as file:
        apply(io.BytesIO(base), io.BytesIO(delta), file, sha256_of(target), len(target))
        file.seek(0)
        return file.read()


BODY, HEAD = int8(400, 400), int8(10, 400)
SMALL = model(int8(5, 20), np.ones(4, np.int32))


def test_a_change_of_the_head_costs_the_head_alone() -> None:
    base, target = model(BODY, HEAD), model(BODY, nudged(HEAD))
    delta = encode(base, target)
    assert applied(base, delta, target) == target
    assert len(delta) < HEAD.nbytes


def test_a_small_change_of_every_weight_costs_what_it_tells() -> None:
    # 30 % of int8 weights moved by one tell 1.18 bits of 8 each
    base, target = model(BODY, np.ones(9, np.float32)), model(nudged(BODY), np.ones(9, np.float32))
    delta = encode(base, target)
    assert applied(base, delta, target) == target
    assert {run.kind for run in read_header(io.BytesIO(delta)).runs} == {"i8"}
    assert len(delta) < 0.17 * len(target)


def test_constants_without_names_are_paired_in_order_among_those_of_their_form() -> None:
    bias = np.arange(400, dtype=np.int32)
    base, target = model(bias, BODY, HEAD), model(HEAD, bias, BODY)
    assert {run.kind for run in read_header(io.BytesIO(encode(base, target))).runs} == {"same"}
    assert applied(base, encode(base, target), target) == target


@pytest.mark.parametrize(
    "path", ["kws01/dscnn_int8_ref.tflite", "ad01/autoencoder_float.tflite", "imagenet/mobilenet_v1_0.25_128_quant.tflite"]
)
def test_what_the_reader_finds_is_what_litert_finds(path: str) -> None:
    raw = shared_file(path).read_bytes()
    whole = schema.ModelT.InitFromPackedBuf(raw, 0)
    contents = [whole.buffers[tensor.buffer].data for tensor in whole.subgraphs[0].tensors]
    expected = {bytes(content) for content in contents if content is not None}
    found = weights_of(memoryview(raw))
    assert {raw[each.place.start : each.place.start + each.place.length] for each in found} == expected - {b""}


@settings(max_examples=300)
@given(st.integers(0, len(SMALL)), st.binary(max_size=40), st.integers(0, len(SMALL)))
def test_any_splice_of_a_file_is_read_without_leaving_it(start: int, middle: bytes, end: int) -> None:
    raw = SMALL[:start] + middle + SMALL[end:]
    found = tflite_weights(memoryview(raw))
    assert all(each.place.start >= 0 and sum(each.place) <= len(raw) for each in found)
    assert applied(SMALL, encode(SMALL, raw), raw) == raw
