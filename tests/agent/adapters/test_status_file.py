"""What a running agent shows, and what a stopped one left."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path, PurePosixPath

import pytest

from agent.adapters.saved_state import saved_memory, saved_models
from agent.adapters.status_file import StatusFile
from agent.adapters.store import StateStore
from agent.core.memory import Memory
from agent.core.status import SERVICE_STATE_DIR, Status, status_file
from agent.core.update import Update
from agent.errors import UnreadableStateError

STATUS = Status(
    written_at=datetime(2026, 6, 1, tzinfo=timezone.utc),
    pid=1,
    agent_version="0.1.0",
    device="pi-1",
    broker="fleet.example:8483",
    is_linked=True,
    last_contact_at=None,
    waiting_bytes=0,
    dropped=0,
    models={},
    workers={},
)


def test_what_is_shown_is_read(tmp_path: Path) -> None:
    board = StatusFile(tmp_path / "state")
    assert board.read() is None
    board.show(STATUS)
    assert board.read() == STATUS


def test_half_a_status_is_none(tmp_path: Path) -> None:
    board = StatusFile(tmp_path)
    board.show(STATUS)
    board.path.write_bytes(board.path.read_bytes()[:50])
    assert board.read() is None


def test_a_board_that_cannot_be_written_to_does_not_end_the_agent(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file where the folder should be")
    StatusFile(tmp_path).show(STATUS)


def test_the_service_shows_its_status_in_memory_and_not_on_the_card() -> None:
    assert status_file(SERVICE_STATE_DIR) == PurePosixPath("/run/fieldfare/status.json")


def test_reading_saved_state_makes_and_removes_nothing(tmp_path: Path) -> None:
    # Given an agent that is unpacking a release
    store = StateStore(tmp_path)
    store.save("digits", Update(reason="because"))
    (tmp_path / "releases" / ".abc.building").mkdir()
    # When somebody looks, then it is all there still
    before = sorted(tmp_path.rglob("*"))
    assert saved_models(tmp_path) == {"digits": Update(reason="because")}
    assert saved_memory(tmp_path) == Memory()
    assert sorted(tmp_path.rglob("*")) == before


def test_a_state_that_this_version_cannot_read_is_refused(tmp_path: Path) -> None:
    StateStore(tmp_path).save("digits", Update())
    (tmp_path / "models/digits/update.json").write_text('{"phase": "of tomorrow"}')
    with pytest.raises(UnreadableStateError, match=r"update.json: expected state that this version .* phase"):
        saved_models(tmp_path)
