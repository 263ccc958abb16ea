"""The whole document tried on a running server with data: whatever is sent, no server error, and every answer is one that is described."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

from tests.fleet.server import FleetProcess
from tests.fleet.stocked import THERE, stock

DOCUMENT: dict[str, Any] = json.loads((Path(__file__).parents[2] / "docs" / "schemas" / "openapi.json").read_text())
OPERATIONS = {
    found.ok().label: found.ok() for found in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations() if isinstance(found, Ok)
}
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.unsupported_method,
]
# Reached with a device's certificate; tests of files for devices do so.
FOR_DEVICES = "GET /device/v1/artifacts/{sha256}"
# A name that is there would take from the others what they need.
DESTROYING = {
    "DELETE /api/v1/groups/{group}",
    "DELETE /api/v1/tokens/{name}",
    "DELETE /api/v1/devices/{device}",
    "POST /api/v1/devices/{device}/revocation",
}
QUICK, DEEP = 12, 250


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetProcess]:
    """A server with something of everything."""
    folder = tmp_path_factory.mktemp("stocked")
    with FleetProcess(folder / "home") as fleet:
        stock(fleet, folder)
        yield fleet


def try_operation(fleet: FleetProcess, label: str, examples: int) -> int:
    """Send requests that fit an operation's description, and some that do not; return how many were answered as described."""
    operation, answered = OPERATIONS[label], 0
    cases = operation.as_strategy(GenerationMode.POSITIVE) | operation.as_strategy(GenerationMode.NEGATIVE)
    headers = {"Authorization": f"Bearer {fleet.connection['token']}"}
    has_names = label not in DESTROYING

    @seed(20)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize=False,
    )
    @given(case=cases, is_there=st.booleans())
    def run(case: Any, is_there: bool) -> None:
        nonlocal answered
        if is_there and has_names:
            case.path_parameters = {name: THERE.get(name, value) for name, value in (case.path_parameters or {}).items()}
        case.call_and_validate(base_url=fleet.connection["url"], headers=headers, checks=CHECKS, timeout=30)
        answered += 1

    run()
    return answered


def test_every_operation_is_tried() -> None:
    described = {f"{method.upper()} {path}" for path, methods in DOCUMENT["paths"].items() for method in methods}

    assert set(OPERATIONS) == described


@pytest.mark.parametrize("label", sorted(OPERATIONS.keys() - {FOR_DEVICES}))
def test_whatever_is_asked_is_answered_as_described(stocked: FleetProcess, label: str) -> None:
    assert try_operation(stocked, label, QUICK) > 0


@pytest.mark.slow
@pytest.mark.parametrize("label", sorted(OPERATIONS.keys() - {FOR_DEVICES}))
def test_many_requests_are_answered_as_described(stocked: FleetProcess, label: str) -> None:
    assert try_operation(stocked, label, DEEP) > 0
