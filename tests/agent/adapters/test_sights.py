"""What a doctor sees through a device's cameras."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from pathlib import Path

from agent.adapters.sights import probe, sights
from agent.adapters.status_file import StatusFile
from agent.config import Settings
from agent.core.checkup import Seen
from agent.core.status import Status
from contracts.agent_config import AgentConfig
from contracts.messages import SourceHealth, WorkerHealth
from contracts.source_config import SourceSection
from tests.sim.cameras import HEIGHT, WIDTH, as_jpeg, picture, stream_camera, write_recording

NOW = datetime(2026, 6, 1, tzinfo=timezone.utc)


def settings(home: Path, **source: object) -> Settings:
    """Return those of a device with one source."""
    document = {
        "device": {"id": "pi-1", "hardware": "cpu"},
        "broker": {"host": "127.0.0.1", "port": 1},
        "source": [{"model": "door", **source}],
    }
    return Settings(AgentConfig.model_validate(document), home / "agent.toml", home / "state")


def status(written_at: datetime, source: SourceHealth) -> Status:
    """Return what an agent with a camera says of itself."""
    worker = WorkerHealth(state="serving", restarts=0, rss_bytes=0, source=source)
    return Status(
        written_at=written_at,
        pid=1,
        agent_version="1",
        device="pi-1",
        broker="",
        is_linked=True,
        last_contact_at=None,
        waiting_bytes=0,
        dropped=0,
        models={},
        workers={"door": worker},
    )


def test_a_source_that_shows_something_is_told_by_its_size_and_without_its_password(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    empty = asyncio.run(sights(settings(tmp_path, folder="frames"), NOW))
    (tmp_path / "frames" / "a.png").write_bytes(as_jpeg(picture(1)))
    full = asyncio.run(sights(settings(tmp_path, folder="frames"), NOW))
    film = asyncio.run(probe(SourceSection(model="door", camera=str(write_recording(tmp_path / "film.avi", 3, "MJPG")))))
    with stream_camera() as camera:
        stream = asyncio.run(probe(SourceSection(model="door", camera=camera.url("roof", "secret"))))

    size = f"{WIDTH}x{HEIGHT}"
    assert [seen.found for seen in (*empty, *full, film, stream)] == ["no picture yet", size, size, size]
    assert stream.source == camera.url()


def test_a_source_that_shows_nothing_says_why(tmp_path: Path) -> None:
    seen = asyncio.run(sights(settings(tmp_path, folder="nowhere"), NOW))

    assert seen == (Seen("door", str(tmp_path / "nowhere"), problem="its folder cannot be read: No such file or directory"),)


def test_a_camera_that_a_running_agent_holds_is_asked_of_the_agent(tmp_path: Path) -> None:
    configured = settings(tmp_path, camera="99")
    board = StatusFile(configured.state_dir)

    board.show(status(NOW, SourceHealth(state="live", frames_per_s=5.0)))
    held = asyncio.run(sights(configured, NOW))
    board.show(status(NOW, SourceHealth(state="stopped", reason="no frame in 2 s")))
    lost = asyncio.run(sights(configured, NOW))
    after_its_end = asyncio.run(sights(configured, NOW + timedelta(hours=1)))

    assert held[0].found == "the agent looks through it, live, 5 frames a second"
    assert lost[0].problem == "no frame in 2 s"
    assert after_its_end[0].problem == "it is not there: is it plugged in?"
