"""Calls a model on this device: arrays in, arrays out, over TCP or the Unix socket."""

from __future__ import annotations

import http.client
import json
import socket
from math import prod
from types import TracebackType
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field, ValidationError

from agent.errors import AgentError
from contracts.codec import invalid_document
from contracts.tensors import DATATYPES, NUMPY_DTYPES, Datatype

Array: TypeAlias = npt.NDArray[Any]
MAX_RESPONSE_BYTES = 1 << 30
JSON_LENGTH = "Inference-Header-Content-Length"
# How a connection that rested too long ends: the server closed it before it read the request.
_STALE = (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError, ConnectionAbortedError)


class ClientError(AgentError):
    """Root of what a caller can meet."""


class UnreachableError(ClientError):
    """Nothing serves at the address."""

    exit_status = 3

    def __init__(self, address: str, found: str) -> None:
        super().__init__(f"{address}: expected a worker that answers, found {found}; check that the agent runs and serves the model")


class RefusedError(ClientError):
    """The worker answered with an error; `status` is HTTP's."""

    def __init__(self, address: str, status: int, message: str) -> None:
        super().__init__(f"{address}: expected outputs, found {status} {message}")
        self.status = status


class AddressError(ClientError):
    """An address that names neither a host nor a socket."""

    def __init__(self, address: str) -> None:
        super().__init__(f"address: expected http://host:port or the path of a Unix socket, found {address!r}")


class DatatypeError(ClientError):
    """An array of a kind that no model takes."""

    def __init__(self, name: str, dtype: str) -> None:
        super().__init__(f"input {name}: expected one of {', '.join(DATATYPES)}, found {dtype}")


class _Parameters(BaseModel, frozen=True):
    binary_data_size: Annotated[int, Field(ge=0)]


class _Output(BaseModel, frozen=True):
    name: str
    datatype: Datatype
    shape: tuple[Annotated[int, Field(ge=0)], ...]
    parameters: _Parameters


class _Answer(BaseModel, frozen=True):
    outputs: tuple[_Output, ...]


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Open the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Client:
    """One connection, kept open between calls and opened again when the server ended it; not for several threads at once."""

    def __init__(self, address: str, token: str = "", *, timeout_s: float = 30.0) -> None:
        """Take `http://127.0.0.1:8600` and the device's token, or the path of a Unix socket, whose permissions are the credential."""
        self._address = address
        bare = token.strip()  # the file that holds it ends its line
        self._headers = {"Authorization": f"Bearer {bare}"} if bare else {}
        self._connection = _connection(address, timeout_s)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> Literal[False]:
        self.close()
        return False

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def infer(self, model: str, inputs: dict[str, Array]) -> dict[str, Array]:
        """Run raw samples, each array [n, ...sample]; return outputs, stacked likewise; raise RefusedError or UnreachableError."""
        tails = [np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes() for values in inputs.values()]
        described = [
            {
                "name": name,
                "shape": values.shape,
                "datatype": _datatype(name, values),
                "parameters": {"binary_data_size": len(tail)},
            }
            for (name, values), tail in zip(inputs.items(), tails, strict=True)
        ]
        head = json.dumps({"inputs": described, "parameters": {"binary_data_output": True}}).encode()
        headers = {**self._headers, JSON_LENGTH: str(len(head)), "Content-Type": "application/octet-stream"}
        return self._outputs(*self._post(f"/v2/models/{model}/infer", b"".join([head, *tails]), headers))

    def _post(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[bytes, int]:
        is_kept = self._connection.sock is not None
        try:
            return self._post_once(path, body, headers)
        except _STALE as error:
            self._connection.close()
            if not is_kept:
                raise UnreachableError(self._address, repr(error)) from error
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise UnreachableError(self._address, repr(error)) from error
        # Inference changes nothing on the device, so that asking again is safe.
        return self._post(path, body, headers)

    def _post_once(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[bytes, int]:
        self._connection.request("POST", path, body, headers)
        response = self._connection.getresponse()
        raw = response.read(MAX_RESPONSE_BYTES)
        if response.status != http.client.OK:
            raise RefusedError(self._address, response.status, raw[:500].decode(errors="replace"))
        return raw, int(response.headers.get(JSON_LENGTH, len(raw)))

    def _outputs(self, raw: bytes, json_bytes: int) -> dict[str, Array]:
        try:
            answer = _Answer.model_validate_json(raw[:json_bytes])
        except ValidationError as error:
            raise invalid_document(self._address, error) from error
        outputs: dict[str, Array] = {}
        for output in answer.outputs:
            dtype = np.dtype(NUMPY_DTYPES[output.datatype])
            outputs[output.name] = np.frombuffer(raw, dtype.newbyteorder("<"), prod(output.shape), json_bytes).reshape(output.shape)
            json_bytes += output.parameters.binary_data_size
        return outputs


def _connection(address: str, timeout_s: float) -> http.client.HTTPConnection:
    if address.startswith("/"):
        return _UnixConnection(address, timeout_s)
    url = urlsplit(address)
    if url.scheme != "http" or not url.hostname:
        raise AddressError(address)
    return http.client.HTTPConnection(url.hostname, url.port, timeout=timeout_s)


def _datatype(name: str, values: Array) -> str:
    datatype = DATATYPES.get(values.dtype.name)
    if datatype is None:
        raise DatatypeError(name, values.dtype.name)
    return datatype
