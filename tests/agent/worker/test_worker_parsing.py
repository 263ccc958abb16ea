"""Bytes from anyone: whatever arrives, the parsers answer with a request or a refusal, and never with a surprise."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.runtimes.port import Arrays
from agent.worker.errors import BadRequestError
from agent.worker.http import Head, Request, Response
from agent.worker.oip import InferRequest, Signature, WantedOutput, decode_request, encode_response
from agent.worker.reader import RequestReader
from contracts.tensors import NUMPY_DTYPES, Datatype, TensorSpec

MAX_BODY_BYTES = 1000
METHODS = st.sampled_from(["GET", "POST", "PUT"])
TOKENS = st.text("abcdefgh-/", min_size=1, max_size=20)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["inputs", "outputs", "name", "shape", "data"]), inner),
    max_leaves=20,
)


def reader() -> RequestReader:
    return RequestReader(lambda _: None, MAX_BODY_BYTES, is_trusted=True)


def signature(datatype: Datatype = "UINT8") -> Signature:
    tensor = TensorSpec(name="x", datatype=datatype, shape=(1, 2, 3))
    return Signature("m", "1", (tensor,), (tensor,))


@st.composite
def messages(draw: st.DrawFn) -> tuple[bytes, tuple[str, str, bytes]]:
    method, path, body = draw(METHODS), "/" + draw(TOKENS), draw(st.binary(max_size=60))
    head = f"{method} {path} HTTP/1.1\r\nX-Name: {draw(TOKENS)}\r\n"
    if draw(st.booleans()):
        chunks = b"".join(b"%x\r\n%b\r\n" % (1, body[i : i + 1]) for i in range(len(body)))
        return f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks + b"0\r\n\r\n", (method, path, body)
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body, (method, path, body)


@given(st.lists(messages(), min_size=1, max_size=5), st.data())
def test_requests_are_the_same_however_the_network_cuts_them(sent: list[tuple[bytes, tuple[str, str, bytes]]], data: st.DataObject) -> None:
    stream = b"".join(raw for raw, _ in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    reading, found = reader(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += reading.feed(stream[start:end])

    requests = [item for item in found if isinstance(item, Request)]

    assert [(item.head.method, item.head.path, item.body) for item in requests] == [meaning for _, meaning in sent]
    assert len(requests) == len(found)
    assert reading.is_idle


@given(st.lists(st.binary(max_size=400) | messages().map(lambda message: message[0]), max_size=8))
def test_any_bytes_end_in_requests_and_at_most_one_refusal(pieces: list[bytes]) -> None:
    reading, found = reader(), []
    for piece in pieces:
        found += reading.feed(piece)

    refusals = [item for item in found if isinstance(item, Response)]

    assert len(refusals) <= 1
    assert found[-1:] == refusals or not refusals
    assert all(refusal.status in (400, 413, 431) for refusal in refusals)
    if refusals:
        assert reading.is_over
        assert reading.feed(b"GET / HTTP/1.1\r\n\r\n") == []


@pytest.mark.parametrize(
    "piece",
    [
        b"GET /" + b"x" * 100,
        b"GET / HTTP/1.1\r\nX: " + b"y" * 100,
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"z" * 50,
    ],
)
def test_a_head_or_trailer_that_never_ends_is_cut_short(piece: bytes) -> None:
    reading = reader()
    found = reading.feed(piece)
    for _ in range(1000):
        found += reading.feed(b"w" * 100)

    assert [item.status for item in found if isinstance(item, Response)] == [431]
    assert reading.is_over


def test_a_body_in_single_bytes_is_bounded_too() -> None:
    reading = reader()
    found = reading.feed(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(MAX_BODY_BYTES + 1):
        found += reading.feed(b"1\r\nx\r\n")

    assert [item.status for item in found if isinstance(item, Response)] == [413]


def test_trailers_cannot_change_the_head_that_was_judged() -> None:
    judged: list[Head] = []
    reading = RequestReader(lambda head: judged.append(head), MAX_BODY_BYTES, is_trusted=False)
    lines = "POST / HTTP/1.1\r\nAuthorization: mine\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nAuthorization: theirs\r\n\r\n"

    (item,) = reading.feed(lines.encode())

    assert isinstance(item, Request)
    assert item.head.headers[b"authorization"] == b"mine"
    assert judged == [item.head]


@given(st.binary(max_size=300) | JSON_VALUES.map(lambda value: json.dumps(value).encode()), st.none() | st.integers(0, 400))
def test_any_body_is_a_request_or_a_named_mistake(body: bytes, json_bytes: int | None) -> None:
    try:
        request = decode_request(signature(), body, json_bytes)
    except BadRequestError:
        return
    assert request.inputs["x"].shape == (request.count, 2, 3)


@given(
    st.sampled_from(["BOOL", "INT8", "UINT16", "INT64", "UINT64", "FP16", "FP32", "FP64"]),
    st.integers(1, 5),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_arrays_survive_the_way_in_and_out(datatype: Datatype, count: int, in_binary: bool, out_binary: bool, seed: int) -> None:
    dtype = np.dtype(NUMPY_DTYPES[datatype])
    values = np.random.default_rng(seed).integers(0, 2 if datatype == "BOOL" else 100, (count, 2, 3)).astype(dtype)
    tail = values.tobytes() if in_binary else b""
    given = {"binary_data_size": len(tail)} if in_binary else {}
    tensor = {"name": "x", "shape": values.shape, "datatype": datatype, "parameters": given}
    document = {
        "inputs": [tensor if in_binary else {**tensor, "data": values.tolist()}],
        "parameters": {"binary_data_output": out_binary},
    }
    head = json.dumps(document).encode()

    request = decode_request(signature(datatype), head + tail, len(head) if in_binary else None)
    body, json_bytes = encode_response(signature(datatype), request, request.inputs)

    assert request.inputs["x"].dtype == dtype
    np.testing.assert_array_equal(request.inputs["x"], values)
    answer = json.loads(body[:json_bytes])["outputs"][0]
    assert answer["shape"] == [count, 2, 3]
    if out_binary:
        np.testing.assert_array_equal(np.frombuffer(body[json_bytes:], dtype), values.reshape(-1))
    else:
        np.testing.assert_array_equal(answer["data"], values.reshape(-1).tolist())


def test_a_number_that_json_cannot_say_is_refused_in_json_and_passes_in_binary() -> None:
    spec = signature("FP32").outputs[0]
    outputs: Arrays = {"x": np.full((1, 2, 3), np.nan, np.float32)}

    with pytest.raises(ValueError, match="JSON compliant"):
        encode_response(signature("FP32"), InferRequest("", {}, 1, (WantedOutput(spec, is_binary=False),)), outputs)

    body, json_bytes = encode_response(signature("FP32"), InferRequest("", {}, 1, (WantedOutput(spec, is_binary=True),)), outputs)
    assert np.isnan(np.frombuffer(body[json_bytes:], np.float32)).all()
