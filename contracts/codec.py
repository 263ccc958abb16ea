"""Decides the one byte form of a document: canonical JSON, and the digest that names it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, TypeAlias, TypeVar

from pydantic import BaseModel, ValidationError

from contracts.errors import InvalidDocumentError, TooLargeError

READ_BYTES = 1 << 20
_SHOULD = re.compile(r"^\w+ should (?:be |have )?")
# Up to the last @: a password that was not escaped may hold anything.
ADDRESS_WITH_USER = re.compile(r"([A-Za-z]+:/+).*@", re.DOTALL)
# What JSON can say.
Json: TypeAlias = "str | int | float | bool | Sequence[Json] | Mapping[str, Json] | None"
Model = TypeVar("Model", bound=BaseModel)
# Where pydantic's words do not say what was expected.
_EXPECTED = {"extra_forbidden": "no such field", "missing": "a value"}


def canonical(value: Any) -> bytes:
    """Return UTF-8 JSON with sorted keys and no spaces; ValueError for NaN and infinities."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def encode(document: BaseModel) -> bytes:
    """Return a document's canonical bytes: equal documents have equal bytes."""
    return canonical(document.model_dump(mode="json"))


def decode(model: type[Model], raw: bytes, *, name: str, max_bytes: int) -> Model:
    """Read one document; raise TooLargeError past `max_bytes`, InvalidDocumentError naming the first wrong field."""
    if len(raw) > max_bytes:
        raise TooLargeError(name, max_bytes, len(raw))
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise invalid_document(name, error) from error


def invalid_document(name: str, error: ValidationError) -> InvalidDocumentError:
    """Say what the first of pydantic's complaints means to a reader of the document."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"] if part != "[key]") or "document"
    found = "nothing" if first["type"] == "missing" else _shortened(without_password(repr(first["input"])))
    return InvalidDocumentError(name, field, expectation_of(first["type"], first["msg"]), found)


def expectation_of(kind: str, complaint: str) -> str:
    """Return what one of pydantic's complaints expects, as it reads behind `expected`: `Input should be a valid integer` is less."""
    if kind in _EXPECTED:
        return _EXPECTED[kind]
    said = _SHOULD.sub("", complaint.removeprefix("Value error, "))
    return said.replace("match pattern ", "text that matches ", 1).replace("Invalid JSON", "valid JSON", 1)


def without_password(text: str) -> str:
    """Return a text whose addresses do not tell who logs in there, such as rtsp://***@camera."""
    return ADDRESS_WITH_USER.sub(r"\1***@", text)


def sha256_of(raw: bytes | memoryview) -> str:
    """Return the hex digest that names `raw` everywhere."""
    return hashlib.sha256(raw).hexdigest()


def sha256_of_stream(stream: BinaryIO) -> str:
    """Return the digest of all that is left in a stream, in bounded memory."""
    digest = hashlib.sha256()
    while block := stream.read(READ_BYTES):
        digest.update(block)
    return digest.hexdigest()


def _shortened(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
