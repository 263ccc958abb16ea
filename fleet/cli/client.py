"""Calls the REST API, and turns its problem documents back into errors of one line."""

from __future__ import annotations

import secrets
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TypeVar

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from contracts.codec import invalid_document
from contracts.errors import InvalidDocumentError
from fleet.connection import Connection, find_connection
from fleet.errors.client import ClearTextError, RefusedError, ServerUnreachableError
from fleet.home import Home, default_folder

TIMEOUT_S = 30.0
API = "/api/v1/"
# How often a request is sent again whose answer got lost, and by which methods; uploads are streams, which cannot be.
SENT_AGAIN = 2
REPEATABLE = frozenset({"GET", "HEAD", "POST"})
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})

Answer = TypeVar("Answer")
Body = TypeVar("Body", bound=BaseModel)


class ApiClient:
    """One server, one token."""

    def __init__(self, http: httpx.Client) -> None:
        """Call through an open client."""
        self._http = http

    def get(self, path: str, kind: type[Answer]) -> Answer:
        """Return a view; raise RefusedError or ServerUnreachableError."""
        return _read(path, kind, self._call("GET", path))

    def post(self, path: str, body: BaseModel | None, kind: type[Answer]) -> Answer:
        """Send a request and return the answer; one whose answer got lost is sent again, and does nothing twice."""
        content = body.model_dump_json() if body is not None else None
        return _read(path, kind, self._call("POST", path, content=content, headers={"Content-Type": "application/json", **_named()}))

    def ask(self, path: str, body: BaseModel, kind: type[Answer]) -> Answer:
        """Return what the answer to a request would be that changes nothing."""
        return _read(path, kind, self._call("POST", path, content=body.model_dump_json(), headers={"Content-Type": "application/json"}))

    def put(self, path: str, body: BaseModel, kind: type[Answer]) -> Answer:
        """Keep something under a name and return it."""
        return _read(path, kind, self._call("PUT", path, content=body.model_dump_json(), headers={"Content-Type": "application/json"}))

    def send(self, method: str, path: str, body: BaseModel) -> None:
        """Send what is answered by done or refused."""
        self._call(method, path, content=body.model_dump_json(), headers={"Content-Type": "application/json"})

    def order(self, method: str, path: str) -> None:
        """Ask for something that is answered by done or refused."""
        self._call(method, path, headers=_named() if method == "POST" else {})

    def fetch(self, path: str) -> bytes:
        """Return a file."""
        return self._call("GET", path).content

    def has(self, path: str) -> bool:
        """Say whether something is there."""
        try:
            self._call("HEAD", path)
        except RefusedError as error:
            if error.status == httpx.codes.NOT_FOUND:
                return False
            raise
        return True

    def upload(self, path: str, stream: BinaryIO) -> None:
        """Send a file, block by block."""
        self._call("PUT", path, content=stream, timeout=None)

    def _call(self, method: str, path: str, **options: object) -> httpx.Response:
        try:
            response = self._sent(method, path, options)
        except httpx.TransportError as error:
            raise ServerUnreachableError(str(self._http.base_url), str(error) or type(error).__name__) from error
        if not response.is_success:
            raise RefusedError(response.status_code, _detail(response))
        return response

    def _sent(self, method: str, path: str, options: dict[str, object]) -> httpx.Response:
        for _ in range(SENT_AGAIN if method in REPEATABLE else 0):
            with suppress(httpx.ReadError, httpx.RemoteProtocolError):  # the answer got lost, and perhaps the request
                return self._http.request(method, API + path, **options)  # type: ignore[arg-type]  # each caller gives httpx's own options
        return self._http.request(method, API + path, **options)  # type: ignore[arg-type]  # as above


def _named() -> dict[str, str]:
    """Give a request a name of its own, by which the server knows it again."""
    return {"Idempotency-Key": secrets.token_hex(16)}


@contextmanager
def connected(folder: Path | None) -> Iterator[ApiClient]:
    """Yield a client of the server that `folder` or the environment names; raise NotConnectedError."""
    connection = find_connection(Home(folder or default_folder()).connection)
    headers = {"Authorization": f"Bearer {connection.token}"}
    with httpx.Client(base_url=connection.url, headers=headers, timeout=TIMEOUT_S, verify=_trusted(connection)) as http:
        yield ApiClient(http)


def _trusted(connection: Connection) -> ssl.SSLContext | bool:
    """Return who may vouch for the server; raise ClearTextError before a token would travel readably."""
    url = httpx.URL(connection.url)
    if url.scheme != "https":
        if url.host not in LOOPBACK_HOSTS:
            raise ClearTextError(connection.url)
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # nobody: reading all the world's authorities takes longer than the request
    if connection.ca is None:
        return True
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


def _read(path: str, kind: type[Answer], response: httpx.Response) -> Answer:
    try:
        return TypeAdapter(kind).validate_json(response.content)
    except ValidationError as error:
        raise invalid_document(path, error) from error


def _detail(response: httpx.Response) -> str:
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"{response.url}: expected an answer of the API, found status {response.status_code}"
