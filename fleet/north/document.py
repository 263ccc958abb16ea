"""What the API's document says beside the routes themselves: how errors look, which headers help, and examples."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from fleet.north.examples import EXAMPLES
from fleet.north.problems import PROBLEM_TYPE, Problem
from fleet.north.repeats import KEY, REPLAYED

ABOUT = """Brings models to a fleet of devices.

Lists come in pages: `items`, and in `next` what `cursor` is to be for the next page. Errors are problem documents (RFC 9457).
Answers to GET have an ETag, and `If-None-Match` spares what is known already. Orders take `If-Match`, so that nobody orders what he has not
seen. Each POST takes an `Idempotency-Key`: sent again within a day it does nothing twice, and has the first answer.
"""
Document = dict[str, Any]
# Which problems a request may have, whatever it asks for.
ALWAYS = (HTTPStatus.INTERNAL_SERVER_ERROR,)
GUARDED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
TAGS = {
    "access": "Who may use the API.",
    "commands": "What devices are asked to do once.",
    "configurations": "What agents are set to.",
    "devices": "The fleet and its devices.",
    "enrolment": "How machines become devices, and devices are turned out.",
    "files": "Files for devices.",
    "groups": "Names for sets of devices, and labels.",
    "releases": "Signed releases and their files.",
    "rollouts": "Releases on their way to devices.",
    "server": "The server itself.",
    "simulation": "Devices that are played.",
    "trust": "The files that devices verify.",
}
MTLS = "DeviceCertificate"
# How a generic model is named by itself.
_PAGE_NAME = re.compile(r"\bPage_(\w+?)_\b")


def described(document: Document, prefix: str) -> Document:
    """Return the document of the routes with all that they share."""
    document = json.loads(_PAGE_NAME.sub(r"\1Page", json.dumps(document)))
    schemas: Document = document["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["Problem"] = Problem.model_json_schema()
    for name, example in EXAMPLES.items():
        schemas[name]["examples"] = [example]
    document["components"]["securitySchemes"][MTLS] = {"type": "mutualTLS", "description": "A certificate of the fleet's authority."}
    document["tags"] = [{"name": name, "description": text} for name, text in TAGS.items()]
    for path, method, operation in _operations(document):
        if path.startswith("/device/"):
            operation["security"] = [{MTLS: []}]
        _describe(operation, method, has_token="security" in operation and path.startswith(prefix))
    return document


def _operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def _describe(operation: Document, method: str, *, has_token: bool) -> None:
    responses: Document = operation["responses"]
    parameters: list[Document] = operation.setdefault("parameters", [])
    for status in _problems(operation, method):
        responses[str(status.value)] = _problem(status.phrase)
    responses["default"] = _problem("Any other problem")
    good = next(status for status in responses if status.startswith("2"))
    if has_token and method == "get":
        parameters.append(_header("If-None-Match", "ETags of answers that are known already.", {"type": "string"}))
        responses[good]["headers"] = {"ETag": {"schema": {"type": "string"}, "description": "The answer's validator."}}
        responses["304"] = {"description": "Not Modified"}
    if has_token and method == "post":
        text = "Names this request, so that sent again within a day it does nothing twice and has the same answer."
        parameters.append(_header("Idempotency-Key", text, {"type": "string", "pattern": KEY}))
        told = {"schema": {"const": "true"}, "description": "The request was carried out before: this is its answer."}
        responses[good].setdefault("headers", {})[REPLAYED] = told


def _problems(operation: Document, method: str) -> Iterator[HTTPStatus]:
    yield from ALWAYS
    parameters, has_body = operation["parameters"], "requestBody" in operation
    if "security" in operation:
        yield from GUARDED
    if any(each["in"] == "path" for each in parameters) or has_body:
        yield HTTPStatus.NOT_FOUND
    if parameters or has_body:
        yield HTTPStatus.UNPROCESSABLE_ENTITY
    if has_body:
        yield HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    if method == "post":
        yield HTTPStatus.CONFLICT
    if any(each["name"] == "If-Match" for each in parameters):
        yield HTTPStatus.PRECONDITION_FAILED


def _problem(text: str) -> Document:
    return {"description": text, "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}


def _header(name: str, text: str, schema: Document) -> Document:
    return {"name": name, "in": "header", "required": False, "description": text, "schema": schema}
