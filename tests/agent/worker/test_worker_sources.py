"""A worker that looks for itself: cameras, streams, recordings and folders, and what becomes of them when they stop."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np
import pytest

from agent.worker.sources.snapshot import NO_SOURCE
from agent.worker_link import Look, Pulse, Ready, Snapshot, SnapshotTaken
from contracts.messages import SourceHealth
from contracts.source_config import SourceSection
from tests.sim.cameras import HEIGHT, PASSWORD, USER, WIDTH, StreamCamera, as_jpeg, picture, stream_camera, write_recording
from tests.sim.control import Control, WorkerProcess, control
from tests.sim.raw_http import RawCaller, request
from tests.sim.rtsp_camera import rtsp_camera
from tests.sim.tiny_release import LABELS, TinyRelease

WAIT_S = 150.0


def looking(playing: Control, home: Path, *, release: int = 1, **source: object) -> WorkerProcess:
    """Start a worker that serves and looks."""
    TinyRelease(release=release).write(home / f"release-{release}")
    worker = playing.start(home / f"release-{release}")
    worker.say(Look(source=SourceSection.model_validate({"model": "tiny", "rate_hz": 10.0, **source})))
    worker.start_serving()
    return worker


def until(worker: WorkerProcess, is_so: Callable[[SourceHealth], bool]) -> SourceHealth:
    """Return the source's health once it is so."""
    health: SourceHealth | None = None
    end_s = time.monotonic() + WAIT_S
    while time.monotonic() < end_s:  # a worker that many tests share has said much since the last one of them listened
        health = worker.hear_of(Pulse).source
        if health is not None and is_so(health):
            return health
    raise AssertionError(health)


def latest(playing: Control) -> tuple[int, dict[str, Any]]:
    """Ask for the newest result."""
    with RawCaller(playing.address.port) as caller:
        caller.send(request("/v2/models/tiny/latest", method="GET"))
        answer = caller.answer()
        return answer.status, json.loads(answer.body)


def test_a_new_picture_in_a_folder_is_looked_at_once_and_its_result_shown(playing: Control, tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    worker = looking(playing, tmp_path, folder=str(frames))
    assert until(worker, lambda health: health.state == "live").frames == 0
    assert latest(playing)[0] == 404

    (tmp_path / "a.jpg").write_bytes(as_jpeg(picture(1)))
    (tmp_path / "a.jpg").rename(frames / "a.jpg")

    assert until(worker, lambda health: health.frames > 0).frames == 1
    status, page = latest(playing)
    assert status == 200
    assert page["result"]["label"] in LABELS
    assert page["source"]["state"] == "live"
    assert worker.drain() == 0


def test_a_recording_is_played_and_begun_again_when_it_ends(playing: Control, tmp_path: Path) -> None:
    films = [write_recording(tmp_path / name, 8, codec) for name, codec in (("film.avi", "MJPG"), ("film.mp4", "mp4v"))]

    workers = [looking(playing, tmp_path, camera=str(film), rate_hz=40.0) for film in films]

    assert ["it gives no more pictures" in until(worker, lambda health: bool(health.reason)).reason for worker in workers] == [True, True]
    for worker in workers:
        until(worker, lambda health: health.frames > 8)


@dataclass(frozen=True)
class Steady:
    """A worker that looks through a stream."""

    playing: Control
    worker: WorkerProcess
    camera: StreamCamera


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Steady]:
    """One for the tests that leave it as it was."""
    home = tmp_path_factory.mktemp("steady")
    with stream_camera() as camera, control(home) as playing:
        worker = looking(playing, home, camera=camera.url(), frozen_s=1.0)
        until(worker, lambda health: health.state == "live")
        yield Steady(playing, worker, camera)
        assert worker.drain() == 0


def test_a_stream_is_looked_at_and_counted_like_what_callers_send(steady: Steady) -> None:
    health = until(steady.worker, lambda health: health.frames >= 20 and health.state == "live")
    pulse = steady.worker.hear_of(Pulse)
    # And what its reader takes, which is no part of what the worker takes
    assert health.reader_rss_bytes is not None
    assert 10 << 20 < health.reader_rss_bytes < 1 << 30

    assert 0 < health.frames_per_s <= 12
    assert pulse.requests + health.dropped >= 20
    assert pulse.errors == 0


def test_a_stream_that_falls_silent_has_stopped_and_comes_back_by_itself(playing: Control, tmp_path: Path) -> None:
    with stream_camera() as camera:
        worker = looking(playing, tmp_path, camera=camera.url())
        until(worker, lambda health: health.frames > 0)

        camera.mood = "silent"
        silent = until(worker, lambda health: health.state == "stopped" and "no frame in 2 s" in health.reason)
        assert latest(playing)[0] == 200

        camera.mood = "shows"
        assert until(worker, lambda health: health.state == "live").frames > silent.frames


def test_a_camera_that_is_unplugged_ends_nobody_and_is_found_again(playing: Control, tmp_path: Path) -> None:
    with stream_camera() as camera:
        worker = looking(playing, tmp_path, camera=camera.url())
        until(worker, lambda health: health.frames > 0)

        camera.unplug()
        gone = until(worker, lambda health: health.state == "stopped" and "cannot be opened" in health.reason)
        camera.plug_in()

        assert until(worker, lambda health: health.state == "live").frames > gone.frames
        assert worker.process.poll() is None


def test_a_picture_that_stands_still_is_reported_while_the_model_goes_on(steady: Steady) -> None:
    steady.camera.mood = "frozen"
    frozen = until(steady.worker, lambda health: health.state == "frozen")
    assert "the picture has not changed in" in frozen.reason
    until(steady.worker, lambda health: health.frames > frozen.frames + 5 and health.state == "frozen")

    steady.camera.mood = "shows"
    until(steady.worker, lambda health: health.state == "live")


def test_a_reader_that_dies_or_hangs_in_its_driver_is_replaced(playing: Control, tmp_path: Path) -> None:
    with stream_camera() as camera:
        worker = looking(playing, tmp_path, camera=camera.url())
        until(worker, lambda health: health.frames > 0)

        for blow in (signal.SIGKILL, signal.SIGSTOP):
            reader = only_reader(worker)
            os.kill(reader, blow)
            gone = until(worker, partial(is_replaced, worker, reader))
            assert until(worker, partial(has_seen_more, gone.frames)).state == "live"

        assert worker.process.poll() is None


def test_a_candidate_leaves_the_camera_alone_until_it_serves(playing: Control, tmp_path: Path) -> None:
    with stream_camera() as camera:
        TinyRelease().write(tmp_path / "release")
        worker = playing.start(tmp_path / "release")
        worker.say(Look(source=SourceSection(model="tiny", camera=camera.url())))
        worker.hear_of(Ready)

        assert worker.hear_of(Pulse).source is None
        assert readers_of(worker) == []
        assert camera.viewers == 0


def test_the_death_of_a_worker_ends_its_reader(playing: Control, tmp_path: Path) -> None:
    with stream_camera() as camera:
        worker = looking(playing, tmp_path, camera=camera.url())
        until(worker, lambda health: health.frames > 0)
        reader = only_reader(worker)

        worker.process.kill()
        worker.wait()

        assert ends(reader)


def test_a_password_is_sent_to_the_camera_and_nowhere_else(playing: Control, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with stream_camera(asks_password=True) as camera:
        worker = looking(playing, tmp_path, camera=camera.url(USER, quote(PASSWORD, safe="")))
        seen = until(worker, lambda health: health.frames > 0)
        command_lines = [Path(f"/proc/{pid}/cmdline").read_text() for pid in (worker.process.pid, *readers_of(worker))]
        camera.unplug()
        gone = until(worker, lambda health: health.state == "stopped" and "cannot be opened" in health.reason)
        status, page = latest(playing)
        worker.drain()

    said = capfd.readouterr()
    told = [*command_lines, seen.model_dump_json(), gone.model_dump_json(), json.dumps(page), said.out, said.err]
    assert status == 200
    assert len(command_lines) == 2
    assert not [text for text in told if "pass-wort" in text or USER in text]
    assert seen.source == camera.url()


def test_an_rtsp_camera_is_looked_at_with_its_password_and_missed_when_it_goes(
    playing: Control, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with rtsp_camera() as camera:
        worker = looking(playing, tmp_path, camera=camera.url(f"{USER}:{quote(PASSWORD, safe='')}@"))
        seen = until(worker, lambda health: health.frames >= 10)
        camera.is_on = False
        gone = until(worker, lambda health: health.state == "stopped")
        worker.drain()

    assert (seen.state, seen.source) == ("live", camera.url(""))
    assert "pass-wort" not in seen.model_dump_json() + gone.model_dump_json() + "".join(capfd.readouterr())


def test_a_wrong_password_and_a_camera_that_is_not_there_are_told(playing: Control, tmp_path: Path) -> None:
    with stream_camera(asks_password=True) as camera:
        workers = [looking(playing, tmp_path, camera=address) for address in (camera.url(USER, "wrong"), "99")]
        wrong, missing = (until(worker, lambda health: bool(health.reason)) for worker in workers)

    assert "its address, user or password be wrong" in wrong.reason
    assert wrong.frames == missing.frames == 0
    assert missing.reason == "it is not there: is it plugged in?"


def test_a_snapshot_is_the_newest_frame_as_jpeg_within_its_bytes(steady: Steady, tmp_path: Path) -> None:
    worker = steady.worker
    worker.say(Snapshot(id="1", file=str(tmp_path / "large.jpg"), max_bytes=512 * 1024))
    large = worker.hear_of(SnapshotTaken)
    worker.say(Snapshot(id="2", file=str(tmp_path / "small.jpg"), max_bytes=4096))
    small = worker.hear_of(SnapshotTaken)

    assert (large.reason, small.reason) == ("", "")
    assert large.file == str(tmp_path / "large.jpg")
    assert small.file == str(tmp_path / "small.jpg")
    shown = cv2.imread(large.file)
    assert shown is not None
    assert shown.shape == (HEIGHT, WIDTH, 3)
    assert min(np.abs(shown.astype(int) - picture(number)).mean() for number in range(64)) < 25
    assert Path(small.file).stat().st_size <= 4096
    assert Path(large.file).stat().st_mode & 0o077 == 0


def test_a_snapshot_without_a_source_says_why_there_is_none(playing: Control, tmp_path: Path) -> None:
    TinyRelease().write(tmp_path / "release")
    worker = playing.start(tmp_path / "release")
    worker.start_serving()

    worker.say(Snapshot(id="1", file=str(tmp_path / "shot.jpg"), max_bytes=512 * 1024))

    taken = worker.hear_of(SnapshotTaken)
    assert taken.reason == NO_SOURCE
    assert not (tmp_path / "shot.jpg").exists()


def is_replaced(worker: WorkerProcess, reader: int, health: SourceHealth) -> bool:
    """Say whether another process reads now, or none yet."""
    return reader not in readers_of(worker) and health.frames > 0


def has_seen_more(frames: int, health: SourceHealth) -> bool:
    """Say whether pictures came since."""
    return health.frames > frames + 3 and health.state == "live"


def readers_of(worker: WorkerProcess) -> list[int]:
    """Return the processes that read a worker's source."""
    tasks = Path(f"/proc/{worker.process.pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def only_reader(worker: WorkerProcess) -> int:
    """Return the process that reads, once there is one alone: one that is slow to begin is replaced."""
    for _ in range(1200):
        if len(readers := readers_of(worker)) == 1:
            return readers[0]
        time.sleep(0.05)
    raise AssertionError(readers)


def ends(pid: int) -> bool:
    """Say whether a process is gone soon."""
    for _ in range(1200):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False
