"""A delta leads from one model file to another, costs what changed, and no bytes at all make its reader misbehave."""

from __future__ import annotations

import io
import json
import tempfile
import tracemalloc
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from contracts.codec import sha256_of
from contracts.delta import stream
from contracts.delta.apply import apply, read_header
from contracts.delta.encode import encode, weights_of
from contracts.delta.layout import PIECE_BYTES, STREAM_BYTES, WORD_BYTES, Word
from contracts.errors import ContractError, MalformedDeltaError, TamperedError

CHANCE = np.random.default_rng(5)
MEBIBYTE = 1 << 20
Array = npt.NDArray[np.generic]


def model(**weights: Array) -> bytes:
    """Return an ONNX file with these weights, in this order."""
    constants = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [x], [y], constants)
    return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString())


def applied(base: bytes, delta: bytes, target: bytes) -> bytes:
    """Apply a delta, told to expect `target`."""
    with tempfile.TemporaryFile() as file:
        apply(io.BytesIO(base), io.BytesIO(delta), file, sha256_of(target), len(target))
        file.seek(0)
        return file.read()


def test_a_delta_of_an_older_fleet_is_still_read() -> None:
    vector = json.loads((Path(__file__).parent.parent / "vectors" / "delta.json").read_text())
    base, target, delta = (bytes.fromhex(vector[name]) for name in ("base", "target", "delta"))
    assert {run.kind for run in read_header(io.BytesIO(delta)).runs} == {"i8", "f32", "same"}
    assert applied(base, delta, target) == target


def int8(*shape: int) -> Array:
    return CHANCE.normal(0, 40, shape).clip(-127, 127).astype(np.int8)


def float32(*shape: int) -> Array:
    return CHANCE.normal(0, 0.1, shape).astype(np.float32)


def nudged(weights: Array) -> Array:
    """Move int8 weights by one, three in ten; floats by a thousandth of their spread."""
    if weights.dtype == np.int8:
        steps = CHANCE.choice([-1, 0, 1], weights.shape, p=[0.15, 0.7, 0.15])
        return np.asarray(np.clip(weights.astype(np.int64) + steps, -127, 127), np.int8)
    return (weights.astype(np.float64) + CHANCE.normal(0, 1e-4, weights.shape)).astype(np.float32)


BODY, HEAD = {"int8": int8(512, 512), "float32": float32(256, 256)}, {"int8": int8(10, 512), "float32": float32(10, 256)}


@pytest.mark.parametrize("kind", BODY)
def test_a_change_of_the_head_costs_the_head_alone(kind: str) -> None:
    base = model(body=BODY[kind], head=HEAD[kind])
    target = model(body=BODY[kind], head=nudged(HEAD[kind]))
    delta = encode(base, target)
    assert applied(base, delta, target) == target
    assert len(delta) < HEAD[kind].nbytes


@pytest.mark.parametrize(("kind", "share"), [("int8", 0.17), ("float32", 0.65)])
def test_a_small_change_of_every_weight_costs_what_it_tells(kind: str, share: float) -> None:
    # Given 30 % of int8 weights moved by one: 1.18 bits of 8 each; a float keeps a sign, an exponent and some fraction.
    base, target = model(body=BODY[kind]), model(body=nudged(BODY[kind]))
    delta = encode(base, target)
    assert applied(base, delta, target) == target
    assert len(delta) < share * len(target)


def test_tensors_are_found_by_name_wherever_they_lie_and_by_form_under_a_new_name() -> None:
    first, second, third = int8(100, 100), int8(100, 100), int8(50, 100)
    base = model(first=first, second=second, third=third)
    target = model(third_renamed=third, second=second, first=first, new=int8(3, 3))
    delta = encode(base, target)
    assert applied(base, delta, target) == target
    assert {run.kind for run in read_header(io.BytesIO(delta)).runs} == {"same"}
    assert len(delta) < 600


def test_what_the_reader_finds_is_what_onnx_finds() -> None:
    arrays = {"a": int8(9, 9), "b": float32(40), "c": np.arange(30), "d": np.ones((5, 5), np.float16), "e": np.zeros((0, 3), np.float32)}
    raw = model(**arrays)
    found = {each.name: raw[each.place.start : each.place.start + each.place.length] for each in weights_of(memoryview(raw))}
    graph = onnx.load_from_string(raw).graph
    assert found == {tensor.name: tensor.raw_data for tensor in graph.initializer if tensor.raw_data}


@pytest.mark.parametrize("size", [0, 1, 1000, PIECE_BYTES, 2 * PIECE_BYTES + 12345])
def test_files_of_no_known_form_are_described_by_what_stands_in_the_same_place(size: int) -> None:
    base = CHANCE.bytes(size)
    target = base[: size // 2] + b"some words more" + base[size // 2 :]
    delta = encode(base, target)
    assert applied(base, delta, target) == target
    assert len(delta) < 700 + size // 100


def test_any_two_files_have_a_delta() -> None:
    for base, target in ((b"", b""), (b"", b"x"), (b"x", b""), (model(w=int8(40, 40)), b"abc"), (b"abc", model(w=int8(40, 40)))):
        assert applied(base, encode(base, target), target) == target


@pytest.mark.parametrize("kind", WORD_BYTES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_words_become_any_others(kind: Word, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 200))
    base, target = (data.draw(st.binary(min_size=count * WORD_BYTES[kind], max_size=count * WORD_BYTES[kind])) for _ in range(2))
    assert stream.decode(kind, base, stream.encode(kind, base, target)) == target


@pytest.mark.parametrize("kind", WORD_BYTES)
def test_the_ends_of_every_kind_of_word_survive(kind: Word) -> None:
    bits = 8 * WORD_BYTES[kind]
    edges = sorted({value % (1 << bits) for power in range(bits + 1) for value in ((1 << power) - 1, 1 << power, -(1 << power))})
    base = b"".join(each.to_bytes(bits // 8, "little") for each in edges for _ in edges)
    target = b"".join(each.to_bytes(bits // 8, "little") for _ in edges for each in edges)
    assert stream.decode(kind, base, stream.encode(kind, base, target)) == target


def test_tensors_larger_than_a_stream_are_applied_in_little_memory() -> None:
    weights = int8(5 * STREAM_BYTES + 77)
    base, target = model(w=weights), model(w=nudged(weights))
    delta = encode(base, target)
    with tempfile.TemporaryFile() as file, io.BytesIO(base) as old, io.BytesIO(delta) as new:
        tracemalloc.start()
        apply(old, new, file, sha256_of(target), len(target))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 64 * MEBIBYTE


def test_a_delta_from_another_base_is_refused() -> None:
    base, target = model(w=BODY["int8"]), model(w=nudged(BODY["int8"]))
    other = model(w=nudged(BODY["int8"]))
    with pytest.raises((MalformedDeltaError, TamperedError)):
        applied(other, encode(base, target), target)


def test_a_delta_to_another_target_or_beyond_its_size_is_refused_before_a_byte_is_written() -> None:
    base, target = model(w=HEAD["int8"]), model(w=nudged(HEAD["int8"]))
    delta = io.BytesIO(encode(base, target))
    for sha256, size in ((sha256_of(b""), len(target)), (sha256_of(target), len(target) - 1)):
        delta.seek(0)
        with io.BytesIO() as file:
            with pytest.raises(MalformedDeltaError, match="target"):
                apply(io.BytesIO(base), delta, file, sha256, size)
            assert file.getvalue() == b""


SMALL_BASE = model(w=HEAD["int8"][0, :150], v=HEAD["float32"][0, :50], same=BODY["int8"][0])
SMALL_TARGET = model(w=nudged(HEAD["int8"][0, :150]), v=nudged(HEAD["float32"][0, :50]), same=BODY["int8"][0])
SMALL_DELTA = encode(SMALL_BASE, SMALL_TARGET)


def test_every_flipped_bit_is_refused_or_without_effect() -> None:
    for place in range(len(SMALL_DELTA)):
        flipped = bytearray(SMALL_DELTA)
        flipped[place] ^= 1 << place % 8
        with suppress(ContractError):
            assert applied(SMALL_BASE, bytes(flipped), SMALL_TARGET) == SMALL_TARGET


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(SMALL_DELTA)), st.binary(max_size=200), st.integers(0, len(SMALL_DELTA)))
def test_any_splice_is_refused_or_without_effect(start: int, middle: bytes, end: int) -> None:
    with suppress(ContractError):
        assert applied(SMALL_BASE, SMALL_DELTA[:start] + middle + SMALL_DELTA[end:], SMALL_TARGET) == SMALL_TARGET


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_are_no_delta(raw: bytes) -> None:
    with pytest.raises(ContractError):
        applied(SMALL_BASE, raw, SMALL_TARGET)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_random_bytes_are_no_stream(raw: bytes) -> None:
    with pytest.raises(MalformedDeltaError):
        stream.decode("i8", bytes(1000), raw)


@given(st.binary(max_size=400))
def test_the_reader_of_weights_takes_any_bytes(raw: bytes) -> None:
    for each in weights_of(memoryview(raw)):
        assert 0 <= each.place.start < each.place.start + each.place.length <= len(raw)
