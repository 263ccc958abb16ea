"""Decides the bytes of an HTTP response, and what a request is once it has been read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple

from pydantic import BaseModel

JSON = "application/json"
BINARY = "application/octet-stream"


class Head(NamedTuple):
    """A request's first lines."""

    method: str
    path: str
    # By lower-case name; of a repeated header the last one counts.
    headers: dict[bytes, bytes]
    # It came over a socket whose file permissions were the credential.
    is_trusted: bool


class Request(NamedTuple):
    """A request, read whole; `received_at` is on the clock of time.perf_counter."""

    head: Head
    body: bytes
    received_at: float


@dataclass(frozen=True)
class Response:
    """An answer; `json_bytes` is the length of the JSON that binary tensors follow."""

    status: int
    body: bytes
    content_type: str = JSON
    json_bytes: int | None = None

    @classmethod
    def of(cls, document: BaseModel) -> Response:
        """Answer with a document."""
        return cls(200, document.model_dump_json(exclude_none=True).encode())

    @classmethod
    def error(cls, status: int, message: str) -> Response:
        """Answer in the protocol's form of an error."""
        return cls(status, json.dumps({"error": message}).encode())

    def encode(self, is_last: bool) -> bytes:
        """Return head and body; the last response of a connection says so."""
        lines = [
            f"HTTP/1.1 {self.status} {_PHRASES[self.status]}",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {len(self.body)}",
            "Connection: close" if is_last else "Connection: keep-alive",
        ]
        if self.json_bytes is not None:
            lines.append(f"Inference-Header-Content-Length: {self.json_bytes}")
        if self.status == HTTPStatus.UNAUTHORIZED:
            lines.append("WWW-Authenticate: Bearer")
        return "\r\n".join([*lines, "\r\n"]).encode() + self.body


_PHRASES = {status.value: status.phrase for status in HTTPStatus}
