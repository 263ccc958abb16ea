"""The Open Inference Protocol as callers meet it: Triton's own client, and bytes no client would send."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from agent.worker.oip import MAX_BATCH
from agent.worker.reader import MAX_HEAD_BYTES
from tests.sim.control import TOKEN, Address
from tests.sim.raw_http import INFER, RawCaller, json_body, request, scores_of
from tests.sim.tiny_release import MODEL, RAW, SCORES, TinyRelease

RELEASE = TinyRelease()
PICTURES = RELEASE.pictures(3)


@pytest.fixture
def caller(serving: Address) -> Iterator[RawCaller]:
    with RawCaller(serving.port) as connected:
        yield connected


@pytest.fixture
def triton_client(serving: Address) -> Iterator[triton.InferenceServerClient]:
    client = triton.InferenceServerClient(serving.url)
    yield client
    client.close()


def bearer() -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKEN}"}


def test_tritons_client_reads_what_is_served(triton_client: triton.InferenceServerClient) -> None:
    assert triton_client.is_server_live()
    assert triton_client.is_server_ready()
    assert triton_client.is_model_ready(MODEL, headers=bearer())
    assert triton_client.is_model_ready(MODEL, "7", headers=bearer())
    assert not triton_client.is_model_ready(MODEL, "8", headers=bearer())
    assert triton_client.get_server_metadata(headers=bearer())["name"] == "fieldfare"
    metadata = triton_client.get_model_metadata(MODEL, headers=bearer())
    assert metadata == {
        "name": MODEL,
        "versions": ["7"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 4, 4]}],
        "outputs": [{"name": "scores", "datatype": "FP32", "shape": [1, 3]}],
    }


@pytest.mark.parametrize("in_binary", [True, False])
@pytest.mark.parametrize("out_binary", [True, False])
@pytest.mark.parametrize("count", [1, 3])
def test_tritons_client_infers(triton_client: triton.InferenceServerClient, in_binary: bool, out_binary: bool, count: int) -> None:
    tensor = triton.InferInput(RAW.name, [count, 4, 4], RAW.datatype)
    tensor.set_data_from_numpy(PICTURES[:count], binary_data=in_binary)
    wanted = triton.InferRequestedOutput(SCORES.name, binary_data=out_binary)

    result = triton_client.infer(MODEL, [tensor], outputs=[wanted], request_id="r-1", headers=bearer())

    np.testing.assert_allclose(result.as_numpy(SCORES.name), RELEASE.scores(PICTURES[:count]), atol=1e-5)
    response = result.get_response()
    assert (response["id"], response["model_name"], response["model_version"]) == ("r-1", MODEL, "7")


def test_a_caller_over_tcp_without_the_token_learns_only_that_the_server_lives(triton_client: triton.InferenceServerClient) -> None:
    assert triton_client.is_server_live()
    assert triton_client.is_server_ready()
    with pytest.raises(InferenceServerException, match="bearer token"):
        triton_client.get_model_metadata(MODEL)
    with pytest.raises(InferenceServerException, match="bearer token"):
        triton_client.get_model_metadata(MODEL, headers={"Authorization": f"Bearer {TOKEN[:-1]}"})


@pytest.mark.parametrize("path", ["/v2", INFER, "/v2/models/another", "/v2/health/", "/v2/health/../models", "/"])
def test_a_stranger_cannot_tell_paths_apart(caller: RawCaller, path: str) -> None:
    caller.send(request(path, method="GET", token=None))

    answer = caller.answer()

    assert answer.status == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert caller.is_at_end()


def test_requests_sent_at_once_are_answered_in_order_on_one_connection(caller: RawCaller) -> None:
    order = [0, 2, 1, 1, 0, 2, 2] * 10
    metadata = request(f"/v2/models/{MODEL}", method="GET")

    caller.send(b"".join(request(body=json_body(PICTURES[i : i + 1])) + metadata for i in order))

    for i in order:
        np.testing.assert_allclose(scores_of(caller.answer()), RELEASE.scores(PICTURES[i : i + 1]), atol=1e-5)
        assert json.loads(caller.answer().body)["name"] == MODEL


def test_a_body_may_come_in_pieces_and_after_an_invitation(caller: RawCaller) -> None:
    body = json_body(PICTURES[:1])
    raw = request(body=body, extra=("Expect: 100-continue",))
    head, body = raw[: -len(body)], raw[-len(body) :]

    caller.send(head[:20])
    caller.send(head[20:])
    invitation = caller.answer()
    for start in range(0, len(body), 10):
        caller.send(body[start : start + 10])

    assert invitation.status == 100
    assert scores_of(caller.answer()).shape == (1, 3)


def test_a_chunked_body_is_read(caller: RawCaller) -> None:
    body = json_body(PICTURES[:1])
    pieces = [body[start : start + 30] for start in range(0, len(body), 30)]
    lines = [f"POST {INFER} HTTP/1.1", f"Authorization: Bearer {TOKEN}", "Transfer-Encoding: chunked", "\r\n"]

    caller.send("\r\n".join(lines).encode() + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""]))

    assert scores_of(caller.answer()).shape == (1, 3)


def test_a_caller_who_closes_his_side_is_answered_first(caller: RawCaller) -> None:
    caller.send(request(body=json_body(PICTURES[:1])))
    caller.end()

    assert scores_of(caller.answer()).shape == (1, 3)
    assert caller.is_at_end()


@pytest.mark.parametrize(("version", "extra"), [("1.0", ()), ("1.1", ("Connection: close",))])
def test_a_caller_who_wants_one_answer_gets_one(caller: RawCaller, version: str, extra: tuple[str, ...]) -> None:
    raw = request(body=json_body(PICTURES[:1]), extra=extra).replace(b"HTTP/1.1", f"HTTP/{version}".encode())

    caller.send(raw)

    assert caller.answer().ends_connection
    assert caller.is_at_end()


def tensor(**changes: object) -> dict[str, object]:
    """Return a JSON tensor that is right but for the changes."""
    return {"name": "image", "shape": [1, 4, 4], "datatype": "UINT8", "data": [0] * 16, **changes}


BAD_BODIES: list[tuple[object, str]] = [
    ({}, "inputs: expected a value"),
    ({"inputs": []}, "expected each of ['image'] once"),
    ({"inputs": [tensor(), tensor()]}, "expected each of ['image'] once"),
    ({"inputs": [tensor(name="picture")]}, "expected each of ['image'] once"),
    ({"inputs": [tensor(datatype="FP32")]}, "expected datatype UINT8, found FP32"),
    ({"inputs": [tensor(datatype="BYTES")]}, "datatype"),
    ({"inputs": [tensor(shape=[1, 4, 5])]}, "expected shape [n, 4, 4]"),
    ({"inputs": [tensor(shape=[4, 4], data=[0] * 15)]}, "expected 16 values of UINT8, found 15"),
    ({"inputs": [tensor(shape=[-1, 4, 4])]}, "shape"),
    ({"inputs": [tensor(shape=[MAX_BATCH + 1, 4, 4])]}, "with n from 1 to 64"),
    ({"inputs": [tensor(data=[0] * 15 + [256])]}, "values from 0 to 255"),
    ({"inputs": [tensor(data=[0] * 15 + [-1])]}, "values from 0 to 255"),
    ({"inputs": [tensor(data=[0.5] * 16)]}, "expected 16 values of UINT8"),
    ({"inputs": [tensor(data=["0"] * 16)]}, "found 16 other values"),
    ({"inputs": [tensor(data=[[0] * 4] * 3 + [[0] * 3])]}, "expected 16 numbers"),
    ({"inputs": [tensor(data=None)]}, "found 0 numbers"),
    ({"inputs": [tensor(parameters={"binary_data_size": 16})]}, "found JSON data as well"),
    ({"inputs": [tensor(data=None, parameters={"binary_data_size": 16})]}, "and 0 bytes"),
    ({"inputs": [tensor(data=None, parameters={"shared_memory_region": "r"})]}, "shared_memory_region"),
    ({"inputs": [tensor()], "outputs": [{"name": "colours"}]}, "expected some of ['scores']"),
    ({"inputs": [tensor()], "outputs": [{"name": "scores"}] * 2}, "each once"),
    ({"inputs": [tensor()], "outputs": [{"name": "scores", "parameters": {"classification": 2}}]}, "classification"),
    ([], "request: document"),
]


@pytest.mark.parametrize(("body", "reason"), BAD_BODIES)
def test_a_body_that_is_not_what_the_model_takes_is_refused_and_the_connection_lives_on(
    caller: RawCaller, body: object, reason: str
) -> None:
    caller.send(request(body=json.dumps(body).encode()))
    answer = caller.answer()

    assert answer.status == 400
    assert reason in answer.error
    caller.send(request(body=json_body(PICTURES[:1])))
    assert scores_of(caller.answer()).shape == (1, 3)


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (request("/v2/models/another/infer", b"{}"), 404),
        (request(f"/v2/models/{MODEL}/versions/8/infer", b"{}"), 404),
        (request(INFER, method="GET"), 405),
        (request("/v2", b"{}"), 405),
        (f"POST {INFER} HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode(), 411),
        (request(body=b"").replace(b"Content-Length: 0", b"Content-Length: 99999999"), 413),
        (request(body=b"").replace(b"Content-Length: 0", b"Content-Length: 9999999999999999999"), 413),
        (request(body=b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + b"ffffff\r\n" + b"x" * 200_000, 413),
        (request(body=b"{}", extra=("Content-Encoding: gzip",)), 415),
        (request(body=b"{}", extra=("Upgrade: websocket", "Connection: Upgrade")), 400),
        (request(body=b"{}", extra=("X-Long: " + "x" * MAX_HEAD_BYTES,)), 431),
        (request(body=b"{}", extra=tuple(f"X-{i}: y" for i in range(120))), 431),
        (b"GET /" + b"x" * 400_000, 431),
        (b"hello\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (request(body=b"{}", extra=("Content-Length: 3",)), 400),
    ],
)
def test_a_request_that_is_out_of_bounds_ends_the_connection_with_its_reason(caller: RawCaller, raw: bytes, status: int) -> None:
    caller.send(raw)

    answer = caller.answer()

    assert answer.status == status
    assert answer.error
    assert answer.ends_connection
    assert caller.is_at_end()


@pytest.mark.parametrize("text", ["-1", "9999", "1_0", "x" * 20])
def test_a_json_length_that_is_none_is_refused(caller: RawCaller, text: str) -> None:
    caller.send(request(body=json_body(PICTURES[:1]), extra=(f"Inference-Header-Content-Length: {text}",)))

    assert caller.answer().status == 400


def test_binary_bytes_that_nobody_announced_are_refused(caller: RawCaller) -> None:
    body = json_body(PICTURES[:1])

    caller.send(request(body=body + b"\0\0\0", extra=(f"Inference-Header-Content-Length: {len(body)}",)))

    answer = caller.answer()
    assert answer.status == 400
    assert "expected 0 bytes of binary tensors after the JSON, found 3" in answer.error


def test_a_caller_who_does_not_read_holds_up_nobody_and_gets_all_his_answers(serving: Address) -> None:
    one = request(f"/v2/models/{MODEL}", method="GET")
    count = 60_000
    with RawCaller(serving.port) as greedy, RawCaller(serving.port) as other:
        sending = threading.Thread(target=greedy.send, args=(one * count,), daemon=True)
        sending.start()
        other.send(request(body=json_body(PICTURES[:1])))
        assert scores_of(other.answer()).shape == (1, 3)

        assert all(greedy.answer().status == 200 for _ in range(count))
        sending.join(10)
        assert not sending.is_alive()
