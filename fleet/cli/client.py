"""Calls the REST API, and turns its problem documents back into errors of one line."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from contracts.codec import invalid_document
from contracts.errors import InvalidDocumentError
from fleet.cli.http_line import Answer as HttpAnswer
from fleet.cli.http_line import HttpLine
from fleet.cli.server_url import ServerUrl, parse_url
from fleet.connection import Connection, find_connection
from fleet.errors.client import AnswerLostError, RefusedError
from fleet.home import Home, default_folder

TIMEOUT_S = 30.0
# A server puts away what is large before it answers.
UPLOAD_TIMEOUT_S = 1800.0
API = "/api/v1/"
# How often a request is sent again whose answer got lost, and by which methods; uploads are streams, which cannot be.
SENT_AGAIN = 2
REPEATABLE = frozenset({"GET", "HEAD", "POST"})
JSON = {"Content-Type": "application/json"}
NOTHING: Mapping[str, str] = {}
NOT_FOUND = 404

Answer = TypeVar("Answer")
Body = TypeVar("Body", bound=BaseModel)


class ApiClient:
    """One server, one token."""

    def __init__(self, line: HttpLine) -> None:
        """Call through a line, which its owner closes."""
        self._line = line

    def get(self, path: str, kind: type[Answer]) -> Answer:
        """Return a view; raise RefusedError or ServerUnreachableError."""
        return _read(path, kind, self._call("GET", path))

    def post(self, path: str, body: BaseModel | None, kind: type[Answer]) -> Answer:
        """Send a request and return the answer; one whose answer got lost is sent again, and does nothing twice."""
        return _read(path, kind, self._call("POST", path, None if body is None else _written(body), {**JSON, **_named()}))

    def ask(self, path: str, body: BaseModel, kind: type[Answer]) -> Answer:
        """Return what the answer to a request would be that changes nothing."""
        return _read(path, kind, self._call("POST", path, _written(body), JSON))

    def put(self, path: str, body: BaseModel, kind: type[Answer]) -> Answer:
        """Keep something under a name and return it."""
        return _read(path, kind, self._call("PUT", path, _written(body), JSON))

    def send(self, method: str, path: str, body: BaseModel) -> None:
        """Send what is answered by done or refused."""
        self._call(method, path, _written(body), JSON)

    def order(self, method: str, path: str) -> None:
        """Ask for something that is answered by done or refused."""
        self._call(method, path, None, _named() if method == "POST" else {})

    def fetch(self, path: str) -> bytes:
        """Return a file."""
        return self._call("GET", path).content

    def has(self, path: str) -> bool:
        """Say whether something is there."""
        try:
            self._call("HEAD", path)
        except RefusedError as error:
            if error.status == NOT_FOUND:
                return False
            raise
        return True

    def upload(self, path: str, stream: BinaryIO) -> None:
        """Send a file, block by block."""
        self._call("PUT", path, stream, timeout_s=UPLOAD_TIMEOUT_S)

    def _call(
        self,
        method: str,
        path: str,
        body: bytes | BinaryIO | None = None,
        headers: Mapping[str, str] = NOTHING,
        timeout_s: float = TIMEOUT_S,
    ) -> HttpAnswer:
        for _ in range(SENT_AGAIN if method in REPEATABLE else 0):
            with suppress(AnswerLostError):
                return self._answered(method, path, body, headers, timeout_s)
        return self._answered(method, path, body, headers, timeout_s)

    def _answered(self, method: str, path: str, body: bytes | BinaryIO | None, headers: Mapping[str, str], timeout_s: float) -> HttpAnswer:
        answer = self._line.ask(method, API + path, body, headers, timeout_s)
        if not answer.is_success:
            raise RefusedError(answer.status, _detail(f"{self._line.url}{API}{path}", answer))
        return answer


def _written(body: BaseModel) -> bytes:
    return body.model_dump_json().encode()


def _named() -> dict[str, str]:
    """Give a request a name of its own, by which the server knows it again."""
    return {"Idempotency-Key": os.urandom(16).hex()}


@contextmanager
def connected(folder: Path | None) -> Iterator[ApiClient]:
    """Yield a client of the server that `folder` or the environment names; raise NotConnectedError."""
    connection = find_connection(Home(folder or default_folder()).connection)
    url = parse_url(connection.url)
    with closing(HttpLine(url, _trusted(url, connection), {"Authorization": f"Bearer {connection.token}"})) as line:
        yield ApiClient(line)


def _trusted(url: ServerUrl, connection: Connection) -> ssl.SSLContext | None:
    """Return who may vouch for the server, None for one on this machine that speaks without TLS."""
    if not url.is_tls:
        return None
    try:
        return ssl.create_default_context(cadata=connection.ca)
    except ssl.SSLError as error:
        raise InvalidDocumentError("connection", "ca", "a certificate in PEM", str(error)) from error


def request(kind: type[Body], /, **values: object) -> Body:
    """Return a request's body from what was typed; raise InvalidDocumentError naming the wrong part."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise invalid_document("command line", error) from error


def _read(path: str, kind: type[Answer], answer: HttpAnswer) -> Answer:
    try:
        return TypeAdapter(kind).validate_json(answer.content)
    except ValidationError as error:
        raise invalid_document(path, error) from error


def _detail(url: str, answer: HttpAnswer) -> str:
    try:
        return str(json.loads(answer.content)["detail"])
    except (ValueError, KeyError, TypeError):
        return f"{url}: expected an answer of the API, found status {answer.status}"
