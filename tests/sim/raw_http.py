"""Speaks HTTP to a worker byte by byte, as no well-behaved client would."""

from __future__ import annotations

import json
import select
import socket
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tests.sim.control import TOKEN
from tests.sim.tiny_release import MODEL, RAW, SCORES

TIMEOUT_S = 60.0
# A worker that accepts has answered long before, on however busy a machine.
UNANSWERED_S = 2.0
INFER = f"/v2/models/{MODEL}/infer"


@dataclass(frozen=True)
class Answer:
    """One response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def ends_connection(self) -> bool:
        """Say whether the server announced the connection's end."""
        return self.headers.get("connection") == "close"

    @property
    def error(self) -> str:
        """Return the protocol's error text."""
        return str(json.loads(self.body)["error"])


class RawCaller:
    """One TCP connection; every read has a time limit."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
        self._stream = self._socket.makefile("rb")

    def __enter__(self) -> RawCaller:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._socket.close()

    def send(self, raw: bytes) -> None:
        """Send bytes."""
        self._socket.sendall(raw)

    def end(self) -> None:
        """Close our side only."""
        self._socket.shutdown(socket.SHUT_WR)

    def answer(self) -> Answer:
        """Read one response; fail when the connection ends instead."""
        first = self._stream.readline()
        assert first.startswith(b"HTTP/1.1 "), f"expected a response, found {first!r}"
        headers = {}
        while line := self._stream.readline().strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return Answer(int(first.split()[1]), headers, self._stream.read(int(headers.get("content-length", 0))))

    def has_answer_within(self, timeout_s: float) -> bool:
        """Say whether anything arrives in time."""
        return bool(select.select([self._socket], [], [], timeout_s)[0])

    def is_at_end(self) -> bool:
        """Wait for the server to end the connection; a byte more is a failure."""
        return self._stream.read(1) == b""


def wait_until_nobody_accepts(port: int) -> None:
    """Wait until a worker has seen its drain: a new caller is then left in the kernel's queue."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        with RawCaller(port) as caller:
            caller.send(request("/v2/health/live", method="GET"))
            if not caller.has_answer_within(UNANSWERED_S):
                return
    raise AssertionError("the worker still accepts")


def request(path: str = INFER, body: bytes = b"", *, method: str = "POST", token: str | None = TOKEN, extra: tuple[str, ...] = ()) -> bytes:
    """Return the bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *extra]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    if method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "\r\n"]).encode() + body


def json_body(pictures: npt.NDArray[np.uint8]) -> bytes:
    """Return an infer request in JSON alone."""
    tensor = {"name": RAW.name, "shape": pictures.shape, "datatype": RAW.datatype, "data": pictures.reshape(-1).tolist()}
    return json.dumps({"inputs": [tensor]}).encode()


def scores_of(answer: Answer) -> npt.NDArray[np.float32]:
    """Read a JSON answer's scores."""
    assert answer.status == 200, answer.body
    output = json.loads(answer.body)["outputs"][0]
    assert output["name"] == SCORES.name
    return np.asarray(np.array(output["data"]).reshape(output["shape"]), np.float32)
