"""What a command may say: short lives, small numbers, and nothing that its reader does not know."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from contracts import topics
from contracts.commands import MAX_JPEG_BYTES, MAX_LOG_BYTES, MAX_RESULT_BYTES, ORDER, Command, CommandResult, CostTable, Logs, Picture

NOW = datetime(2026, 11, 21, tzinfo=timezone.utc)
SCHEMA = Path(__file__).parents[2] / "docs" / "schemas" / "costs.schema.json"
COMMAND: dict[str, Any] = {
    "id": "0" * 32,
    "device": "pi-1",
    "asker": "anna",
    "issued_at": NOW,
    "expires_at": NOW + timedelta(minutes=5),
    "order": {"kind": "logs", "lines": 10},
}


@pytest.mark.parametrize(
    "change",
    [
        {"expires_at": NOW},
        {"expires_at": NOW + timedelta(days=1, seconds=1)},
        {"id": "../" * 8},
        {"asker": "\x1b[2J"},
        {"order": {"kind": "reboot"}},
        {"order": {"kind": "logs", "lines": 0}},
        {"order": {"kind": "logs", "lines": 10**6}},
        {"order": {"kind": "benchmark", "runs": 10**6}},
        {"order": {"kind": "logs", "path": "/etc/passwd"}},
        {"as_root": True},
    ],
    ids=str,
)
def test_a_command_that_says_too_much_is_none(change: dict[str, Any]) -> None:
    assert Command.model_validate(COMMAND).order.kind == "logs"
    with pytest.raises(ValidationError):
        Command.model_validate({**COMMAND, **change})


def test_the_largest_results_fit_into_a_message_and_larger_ones_are_none() -> None:
    stamp: dict[str, Any] = {"session": "0" * 16, "sequence": 1, "sent_at": NOW, "command": "0" * 32, "state": "ok"}
    jpeg = "A" * (4 * (MAX_JPEG_BYTES // 3 + 1))
    largest = CommandResult(**stamp, findings=Picture(model="m" * 64, jpeg=jpeg))
    assert len(largest.model_dump_json()) < MAX_RESULT_BYTES
    with pytest.raises(ValidationError):
        Picture(model="m", jpeg=jpeg + "A")
    with pytest.raises(ValidationError):
        Logs(source="file", text="x" * (MAX_LOG_BYTES + 1))


def test_an_order_of_a_kind_keeps_only_what_was_given() -> None:
    assert ORDER.validate_python({"kind": "golden"}).model_dump() == {"kind": "golden"}


def test_a_command_and_its_result_are_told_apart_by_their_topics() -> None:
    command, result = topics.of_command("pi-1", "ab" * 16), topics.of_device("pi-1", topics.result_leaf("ab" * 16))
    assert topics.parse_command(command) == topics.CommandTopic("pi-1", "ab" * 16) == topics.parse_result(result)
    assert (topics.parse_command(result), topics.parse_result(command)) == (None, None)
    for topic in (topics.of_command("trust", "ab" * 16), topics.of_command("pi-1", "x"), topics.of_commands("pi-1")):
        assert topics.parse_command(topic) is None


def test_the_table_of_costs_is_described_as_it_is() -> None:
    """When it fails, write the document anew from `CostTable.model_json_schema()`, keys sorted, two spaces deep."""
    assert json.loads(SCHEMA.read_text()) == CostTable.model_json_schema()
