"""The command itself with a camera: what its fleet hears when the camera goes, and that a new release looks on."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from agent.control.delivery import Installed
from agent.errors import WorkerError
from agent.worker_link import Pulse
from contracts.messages import DeviceEvent, Health, InferenceWindow, ReleaseRef, SourceHealth
from contracts.source_config import SourceSection
from tests.agent.conftest import DEVICE, AgentProcess
from tests.sim.cameras import as_jpeg, picture, stream_camera
from tests.sim.fleet import SimFleet
from tests.sim.supervised import PATIENCE, supervised
from tests.sim.switches import switch_to, tiny
from tests.sim.tiny_release import LABELS, MODEL, TinyRelease

SOURCE = """
[[source]]
model = "{model}"
camera = "{camera}"
rate_hz = 10
results_file = "results/door.jsonl"
"""


def source_of(health: Health) -> SourceHealth | None:
    """Return what a device says of its camera."""
    return health.workers[MODEL].source if MODEL in health.workers else None


def test_a_camera_is_looked_through_from_release_to_release_and_its_loss_is_told(
    fleet: SimFleet, device: AgentProcess, tmp_path: Path
) -> None:
    with stream_camera() as camera:
        # Given a device that looks through a camera by release 1
        device.behaviours = None
        with device.config.open("a") as file:
            file.write(SOURCE.format(model=MODEL, camera=camera.url("roof", "secret")))
        first, second = (tiny(tmp_path / str(number), number) for number in (1, 2))
        device.start()
        switch_to(fleet, DEVICE, first)
        live = fleet.wait_for(Health, DEVICE, lambda health: (source := source_of(health)) is not None and source.state == "live")
        assert (source := source_of(live)) is not None
        assert source.source == camera.url()

        # When the next release takes over
        switch_to(fleet, DEVICE, second)
        # Then it looks on, without a word about the camera
        fleet.wait_for(InferenceWindow, DEVICE, lambda window: window.release == second.ref)
        assert not [event for event in fleet.all(DeviceEvent) if event.facts.get("state") in ("blind", "frozen")]

        # And when the camera is unplugged, and plugged in again
        camera.unplug()
        blind = fleet.wait_for(DeviceEvent, DEVICE, lambda event: event.facts.get("state") == "blind")
        camera.plug_in()
        sees = fleet.wait_for(DeviceEvent, DEVICE, lambda event: event.facts.get("state") == "sees")
        # Then the fleet hears of both
        assert (blind.severity, sees.severity) == ("error", "info")
        assert camera.url() in blind.text
        assert device.stop() == 0

    # And the results of both releases lie with the state, the password nowhere
    lines = [json.loads(line) for line in (device.state / "results" / "door.jsonl").read_text().splitlines()]
    assert {line["model_version"] for line in lines} == {"1", "2"}
    assert {line["label"] for line in lines} <= set(LABELS)
    assert "secret" not in device.log() + "".join(event.text for event in fleet.all(DeviceEvent))


def test_the_control_process_gets_a_picture_or_the_reason_why_there_is_none(tmp_path: Path) -> None:
    manifest = TinyRelease().write(tmp_path / "release")
    release = ReleaseRef(model=MODEL, release=manifest.release, manifest_sha256=manifest.sha256)
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "a.png").write_bytes(as_jpeg(picture(1)))
    photo = tmp_path / "photo.jpg"

    async def run() -> None:
        command, source = (sys.executable, "-m", "agent.worker"), SourceSection(model=MODEL, folder=str(tmp_path / "frames"))
        async with supervised(tmp_path, command, MODEL, replace(PATIENCE, memory_bytes=1 << 40), source) as watched:
            watched.supervisor.want(Installed(release, tmp_path / "release", "cpu"))
            await watched.until(lambda: sees(watched.supervisor.pulse))
            worker = watched.supervisor.serving
            assert worker is not None
            with pytest.raises(WorkerError, match="nowhere"):
                await worker.take_picture("1", str(tmp_path / "nowhere" / "photo.jpg"), 512 * 1024)
            await worker.take_picture("2", str(photo), 512 * 1024)
            assert worker is watched.supervisor.serving
            assert watched.alarms == []

    asyncio.run(run())
    assert cv2.imread(str(photo)) is not None


def sees(pulse: Pulse | None) -> bool:
    """Say whether a worker has looked at a picture."""
    return pulse is not None and pulse.source is not None and pulse.source.frames > 0
