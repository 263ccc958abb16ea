"""What a window says: counts, percentiles, scores, classes; and that it stays small."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from agent.worker.statistics import Statistics, Winner
from agent.worker_link import Window
from contracts.messages import MAX_CLASSES, OTHER_CLASSES
from contracts.sketches import RELATIVE_ERROR
from tests.sim.control import Control
from tests.sim.raw_http import RawCaller, json_body, request
from tests.sim.tiny_release import LABELS, MODEL, TinyRelease


def winners(*labels: str) -> list[Winner]:
    return [Winner(label) for label in labels]


def test_percentiles_are_those_of_the_sorted_latencies_within_one_percent() -> None:
    counts = Statistics()
    for milliseconds in random.Random(2).sample(range(1, 201), 200):
        counts.record_answer(milliseconds / 1000, winners("wren"))

    facts = counts.take_window()

    assert facts is not None
    latency = facts.latency_ms
    assert (latency.p50, latency.p95, latency.p99) == pytest.approx((100, 190, 198), rel=RELATIVE_ERROR)
    assert (latency.max, latency.mean) == pytest.approx((200, 100.5))
    assert facts.latencies.count == 200


def test_one_request_is_its_own_percentile_and_an_empty_window_is_none() -> None:
    counts = Statistics()
    counts.record_error(0.005)

    facts = counts.take_window()

    assert facts is not None
    assert (facts.requests, facts.errors, facts.classes, facts.confidences) == (1, 1, {}, None)
    assert facts.latency_ms.p50 == facts.latency_ms.p99 == pytest.approx(5, rel=RELATIVE_ERROR)
    assert facts.latency_ms.p99 <= facts.latency_ms.max == pytest.approx(5)
    assert counts.take_window() is None
    assert (counts.requests, counts.errors) == (1, 1)


def test_scores_of_winning_classes_are_told_where_there_are_any() -> None:
    counts = Statistics()
    counts.record_answer(0.001, [Winner("wren", 0.9), Winner("owl", 0.5), Winner("owl")])

    facts = counts.take_window()

    assert facts is not None
    assert facts.confidences is not None
    assert facts.confidences.count == 2
    assert facts.confidences.quantile(1) == pytest.approx(0.9, rel=RELATIVE_ERROR)


def test_classes_without_number_or_names_without_end_do_not_swell_a_window() -> None:
    counts = Statistics()
    for i in range(2 * MAX_CLASSES):
        counts.record_answer(0.001, winners(*[f"{i:0100}"[::-1]] * 2))
        counts.record_answer(0.001, winners("0" * 100))

    facts = counts.take_window()

    assert facts is not None
    assert len(facts.classes) <= MAX_CLASSES + 1
    assert facts.classes[OTHER_CLASSES] > 0
    assert sum(facts.classes.values()) == 6 * MAX_CLASSES
    assert max(map(len, facts.classes)) == 64


def test_a_worker_reports_each_window_that_saw_requests(playing: Control, tmp_path: Path) -> None:
    release = TinyRelease(release=3)
    manifest = release.write(tmp_path / "release")
    worker = playing.start(tmp_path / "release", window_s=0.4)
    worker.start_serving()
    pictures = release.pictures(20)
    expected = [LABELS[i] for i in release.scores(pictures).argmax(axis=1)]
    with RawCaller(playing.address.port) as caller:
        caller.send(request(body=json_body(pictures)) + request(body=b"{}") + request("/v2", method="GET"))
        assert [caller.answer().status for _ in range(3)] == [200, 400, 200]

    window = worker.hear_of(Window).window

    assert (window.release.model, window.release.release) == (MODEL, 3)
    assert window.release.manifest_sha256 == manifest.sha256
    assert (window.requests, window.errors) == (2, 1)
    assert window.classes == {label: expected.count(label) for label in set(expected)}
    assert window.provider == "CPUExecutionProvider"
    assert window.latencies is not None
    assert window.latencies.count == 2
    assert 0 < window.latency_ms.p50 <= window.latency_ms.max
    assert 0.3 < window.window_s < 30
    assert abs(datetime.now(timezone.utc) - window.started_at) < timedelta(minutes=1)


def test_a_drain_sends_the_last_window(playing: Control, tmp_path: Path) -> None:
    release = TinyRelease()
    release.write(tmp_path / "release")
    worker = playing.start(tmp_path / "release", window_s=3600)
    worker.start_serving()
    with RawCaller(playing.address.port) as caller:
        caller.send(request(body=json_body(np.zeros((1, 4, 4), np.uint8))))
        caller.answer()

    status = worker.drain()

    assert worker.hear_of(Window).window.requests == 1
    assert status == 0
