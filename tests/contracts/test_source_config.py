"""What may stand in `[[source]]`, and that a camera's password is told to nobody."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from contracts.agent_config import AgentConfig
from contracts.codec import invalid_document
from contracts.source_config import SourceSection

BASE: dict[str, Any] = {"device": {"id": "pi-1", "hardware": "cpu"}, "broker": {"host": "localhost", "port": 8883}}


def source(**fields: object) -> SourceSection:
    return SourceSection.model_validate({"model": "door", **fields})


@pytest.mark.parametrize(
    ("camera", "is_live"),
    [("0", True), ("/dev/video2", True), ("rtsp://cam/live", True), ("http://cam/a.mjpg", True), ("/var/film.avi", False)],
)
def test_a_camera_is_a_number_a_device_a_stream_or_a_recording(camera: str, is_live: bool) -> None:
    assert source(camera=camera).is_live is is_live
    assert not source(folder="/var/frames").is_live


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"camera": "0", "folder": "frames"},
        {"camera": "video0"},
        {"camera": "concat:/a|/b"},
        {"camera": "0", "rate_hz": 0},
        {"camera": 0},
    ],
)
def test_what_is_neither_a_camera_nor_a_folder_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        source(**fields)


@pytest.mark.parametrize("login", ["roof:secret@", "roof:se/cret@", "roof:sec?ret#@", "roof:s@cret@", "secret@"])
def test_an_address_is_shown_without_what_logs_in_there(login: str) -> None:
    assert source(camera=f"rtsp://{login}cam:554/live?token=secret").shown == "rtsp://cam:554/live"


@pytest.mark.parametrize(
    "section",
    [
        {"model": "door", "camera": "rtsp://roof:secret@cam/ live"},
        {"model": "door", "camera": "gopher://roof:secret@cam/live"},
        {"model": "door", "camera": "rtsp://roof:secret@cam/live", "folder": "frames"},
        {"model": "door", "camera": "rtsp://roof:sec ret@cam/live"},
        {"camera": "rtsp://roof:secret@cam/live"},
    ],
)
def test_a_refusal_does_not_tell_the_password(section: dict[str, str]) -> None:
    with pytest.raises(ValidationError) as refusal:
        AgentConfig.model_validate({**BASE, "source": [section]})

    assert "source.0" in str(invalid_document("agent.toml", refusal.value))
    assert "sec" not in str(invalid_document("agent.toml", refusal.value))


def test_two_sources_of_one_model_are_refused_by_its_name() -> None:
    section = {"model": "door", "camera": "0"}

    with pytest.raises(ValidationError, match="one source for each model, not two for door"):
        AgentConfig.model_validate({**BASE, "source": [section, {"model": "gate", "camera": "1"}, section]})


def test_results_lie_with_the_state_and_folders_where_the_configuration_lies() -> None:
    placed = source(folder="frames", results_file="door.jsonl").placed("/var/lib/fieldfare", "/etc/fieldfare")
    absolute = source(folder="/srv/frames", results_file="/srv/door.jsonl").placed("/var/lib/fieldfare", "/etc/fieldfare")
    plain = source(camera="0").placed("/var/lib/fieldfare", "/etc/fieldfare")

    assert (placed.folder, placed.results_file) == ("/etc/fieldfare/frames", "/var/lib/fieldfare/door.jsonl")
    assert (absolute.folder, absolute.results_file) == ("/srv/frames", "/srv/door.jsonl")
    assert (plain.folder, plain.results_file) == ("", "")
