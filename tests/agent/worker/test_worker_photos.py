"""A worker that looks at real photographs by a real public model, and says what is on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agent.worker_link import Look, Pulse
from contracts.source_config import SourceSection
from tests.shared_data import shared_file
from tests.sim.control import Control, WorkerProcess
from tests.sim.photo_release import MODEL, write_photo_release
from tests.sim.raw_http import RawCaller, request


def result_number(playing: Control, worker: WorkerProcess, number: int) -> dict[str, Any]:
    """Return the newest result once so many pictures were answered."""
    for _ in range(30):
        with RawCaller(playing.address.port) as caller:
            caller.send(request(f"/v2/models/{MODEL}/latest", method="GET"))
            answer = caller.answer()
        if answer.status == 200 and json.loads(answer.body)["result"]["frame"] == number:
            found: dict[str, Any] = json.loads(answer.body)["result"]
            return found
        worker.hear_of(Pulse)
    raise AssertionError("no such result")


def test_photographs_of_any_size_are_named_as_their_numbers_in_the_labels_say(playing: Control, tmp_path: Path) -> None:
    model = shared_file("imagenet/mobilenet_v2_1.0_224_quant.tflite")
    labels = tuple(shared_file("imagenet/imagenet_labels_1001.txt").read_text().splitlines())
    photos = {"cat_720p": 286, "parrot": 89, "hot_dog": 935}
    write_photo_release(tmp_path / "release", model.read_bytes(), labels)
    frames = tmp_path / "frames"
    frames.mkdir()
    results_file = tmp_path / "results" / "photos.jsonl"
    worker = playing.start(tmp_path / "release", model=MODEL)
    source = SourceSection(model=MODEL, folder=str(frames), rate_hz=20.0, results_file=str(results_file))
    worker.say(Look(source=source))
    worker.start_serving()

    found = []
    for number, name in enumerate(photos, 1):
        (frames / f"{name}.jpg").write_bytes(shared_file(f"photos/{name}.jpg").read_bytes())
        found.append(result_number(playing, worker, number)["label"])

    assert found == [labels[index] for index in photos.values()]
    assert 3 in (worker.hear_of(Pulse).requests for _ in range(20))
    assert [json.loads(line)["label"] for line in results_file.read_text().splitlines()] == found
    assert worker.drain() == 0


def test_a_file_that_is_no_picture_is_passed_over(playing: Control, tmp_path: Path) -> None:
    model = shared_file("imagenet/mobilenet_v2_1.0_224_quant.tflite")
    write_photo_release(tmp_path / "release", model.read_bytes(), tuple(map(str, range(1001))))
    frames = tmp_path / "frames"
    frames.mkdir()
    worker = playing.start(tmp_path / "release", model=MODEL)
    worker.say(Look(source=SourceSection(model=MODEL, folder=str(frames), rate_hz=20.0)))
    worker.start_serving()

    (frames / "noise.jpg").write_bytes(b"this was never a picture")
    (frames / "notes.txt").write_text("nor this")
    worker.hear_of(Pulse)
    (frames / "parrot.jpg").write_bytes(shared_file("photos/parrot.jpg").read_bytes())

    assert result_number(playing, worker, 1)["label"] == "89"
    health = worker.hear_of(Pulse).source
    assert health is not None
    assert (health.state, health.frames) == ("live", 1)
