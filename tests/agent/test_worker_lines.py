"""What a worker that has gone mad may not say: numbers that no report could carry on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from agent.worker_link import WORKER_LINE, Ready

READY: dict[str, Any] = {
    "kind": "ready", "runtime": "onnx", "runtime_version": "1", "provider": "CPU", "preferred_provider": "CPU", "load_s": 0.1,
    "golden_passed": True, "golden_samples": 4, "golden_error": 0.0, "golden_tolerance": 0.1,
}  # fmt: skip


def test_a_ready_line_tells_where_the_operators_run() -> None:
    line = WORKER_LINE.validate_json(json.dumps({**READY, "placement": {"XNNPACK": 11, "CPU": 2}}))
    assert isinstance(line, Ready)
    assert line.placement == {"XNNPACK": 11, "CPU": 2}


@pytest.mark.parametrize(
    "change",
    [
        {"golden_error": float("nan")},
        {"golden_error": float("inf")},
        {"golden_samples": -1},
        {"placement": {"CPU": -1}},
        {"placement": {str(number): 1 for number in range(9)}},
    ],
)
def test_a_line_that_no_report_could_carry_on_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        WORKER_LINE.validate_json(json.dumps({**READY, **change}))
