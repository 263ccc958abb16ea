"""The wire forms are frozen: what a device in the field sends today must be read, and written, the same tomorrow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from contracts import codec, commands, downlinks, messages, topics
from contracts.chunks import Bitmap
from contracts.manifest import Manifest
from contracts.trust import ReleaseTarget, release_target_path, team_pattern, team_role

VECTORS = Path(__file__).parent.parent / "vectors"
MODELS: dict[str, type[BaseModel]] = {
    **{model.__name__: model for model in messages.UPLINK_MESSAGES.values()},
    "Desired": downlinks.Desired,
    "Offer": downlinks.Offer,
    "Renewed": downlinks.Renewed,
    "ReleaseTarget": ReleaseTarget,
    "Manifest": Manifest,
    "Command": commands.Command,
    "CommandResult": commands.CommandResult,
    "CostTable": commands.CostTable,
}
DIGEST = "ab" * 32


def vectors(name: str) -> Any:
    return json.loads((VECTORS / name).read_text())


@pytest.mark.parametrize("vector", vectors("documents.json"), ids=lambda vector: vector["model"])
def test_a_document_keeps_its_bytes(vector: dict[str, str]) -> None:
    raw = vector["canonical"].encode()
    document = codec.decode(MODELS[vector["model"]], raw, name=vector["model"], max_bytes=1 << 20)
    assert codec.encode(document) == raw
    assert codec.sha256_of(raw) == vector["sha256"]


def test_every_message_has_a_vector() -> None:
    assert {vector["model"] for vector in vectors("documents.json")} == set(MODELS)


@pytest.mark.parametrize("model", [model for name, model in MODELS.items() if issubclass(model, messages.Message) and name != "Message"])
def test_a_newer_party_may_add_a_field_to_a_message(model: type[BaseModel]) -> None:
    document = next(json.loads(vector["canonical"]) for vector in vectors("documents.json") if vector["model"] == model.__name__)
    assert model.model_validate({**document, "added_later": 1}) == model.model_validate(document)


@pytest.mark.parametrize("vector", vectors("bitmaps.json"), ids=lambda vector: vector["hex"])
def test_a_bitmap_keeps_its_form(vector: dict[str, Any]) -> None:
    assert Bitmap.of(vector["count"], vector["chunks"]).to_hex() == vector["hex"]
    assert list(Bitmap.from_hex(vector["count"], vector["hex"])) == vector["chunks"]


def test_topics_keep_their_names() -> None:
    assert vectors("topics.json") == {
        "health of pi-1": topics.of_device("pi-1", "health"),
        "desired of pi-1": topics.of_device("pi-1", "desired"),
        "command to pi-1": topics.of_command("pi-1", "ab" * 16),
        "commands to pi-1": topics.of_commands("pi-1"),
        "result of pi-1": topics.of_device("pi-1", topics.result_leaf("ab" * 16)),
        "offer to pi-1": topics.of_device("pi-1", "offer"),
        "every birth": topics.of_every_device("birth"),
        "chunk 3": topics.of_chunk(DIGEST, 3),
        "chunks": topics.of_chunks(DIGEST),
        "trust file": topics.of_trust_file("2.snapshot.json"),
        "release target": release_target_path("digits", 2),
        "team's releases": team_pattern("digits"),
        "team's list": topics.of_trust_file(f"1.{team_role('digits')}.json"),
    }


def test_a_report_of_an_older_agent_is_read() -> None:
    document = next(json.loads(vector["canonical"]) for vector in vectors("documents.json") if vector["model"] == "Reported")
    del document["newest_time"], document["refused"]
    read = messages.Reported.model_validate(document)
    assert (read.newest_time, read.refused) == (None, {})
