"""The API's document: published as it is, and whole."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from fleet.north.examples import EXAMPLES
from fleet.north.problems import Problem
from fleet.requests.access import NewToken
from fleet.requests.commands import NewCommand
from fleet.requests.enrolment import NewEnrolmentToken
from fleet.requests.rollouts import NewRollout
from fleet.requests.settings import ConfigurationChange
from fleet.requests.targeting import LabelChange, NewGroup
from tests.fleet.server import FleetProcess

SENT: tuple[type[BaseModel], ...] = (
    *(ConfigurationChange, LabelChange, NewCommand, NewEnrolmentToken, NewGroup, NewRollout, NewToken),
    Problem,
)
PUBLISHED = Path(__file__).parents[2] / "docs" / "schemas" / "openapi.json"


def document_of(fleet: FleetProcess) -> dict[str, Any]:
    with fleet.api as api:
        found: dict[str, Any] = api.get("openapi.json").json()
    return found


@pytest.fixture(scope="module")
def document(fleet: FleetProcess) -> dict[str, Any]:
    return document_of(fleet)


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for methods in document["paths"].values() for operation in methods.values()]


def test_the_published_document_is_what_the_server_tells(document: dict[str, Any]) -> None:
    """When it fails: python -m tests.fleet.test_api_document"""
    assert json.loads(PUBLISHED.read_text()) == document


def test_every_operation_has_a_name_of_its_own_a_tag_that_is_told_and_a_description(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for operation in operations(document)]

    assert len(names) == len(set(names)) >= 48
    assert {tag for operation in operations(document) for tag in operation["tags"]} == {tag["name"] for tag in document["tags"]}
    assert [operation["operationId"] for operation in operations(document) if not operation.get("description")] == []


def test_every_operation_tells_how_its_problems_look(document: dict[str, Any]) -> None:
    for operation in operations(document):
        bad = {status: answer for status, answer in operation["responses"].items() if status[0] not in "23"}
        assert {"500", "default"} <= bad.keys(), operation["operationId"]
        assert {kind for answer in bad.values() for kind in answer["content"]} == {"application/problem+json"}
        if "security" in operation:
            assert {"401", "403"} <= bad.keys()


def test_every_list_that_may_grow_is_a_page(document: dict[str, Any]) -> None:
    for operation in operations(document):
        if operation["operationId"].startswith("list_"):
            schema = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
            assert schema.endswith("Page"), operation["operationId"]
            assert {"limit", "cursor"} <= {parameter["name"] for parameter in operation["parameters"]}


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_every_example_is_a_request_that_can_be_sent(name: str, document: dict[str, Any]) -> None:
    (kind,) = (kind for kind in SENT if kind.__name__ == name)

    kind.model_validate(EXAMPLES[name])
    assert document["components"]["schemas"][name]["examples"] == [EXAMPLES[name]]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary, FleetProcess(Path(temporary) / "home") as running:
        PUBLISHED.write_text(json.dumps(document_of(running), indent=2, ensure_ascii=False) + "\n")
    sys.stdout.write(f"wrote {PUBLISHED}\n")
