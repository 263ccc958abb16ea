"""What waits for the link: all of it, in order, on the disk; merged before it is dropped; and every loss counted."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from agent.adapters.outbox_files import OutboxFiles
from agent.core.drawers import DRAWER_S
from agent.core.merging import MAX_SPAN_S, halved, joined
from agent.core.outbox import MAX_MEMORY_BYTES
from agent.core.shelf import Dropped
from contracts.messages import MAX_CLASSES, OTHER_CLASSES, InferenceWindow
from contracts.shadow import ShadowPart
from contracts.sketches import Sketch, merged
from tests.sim.shelf import Clock, FaultyFiles, drained, event, letter_of, outbox_in, window, windows_among


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def gaps(windows: list[InferenceWindow]) -> int:
    """Count the windows of one model that are missing, as a server would."""
    pairs = pairwise(windows)
    return sum((newer.ordinal or 0) - (newer.parts or 1) - (older.ordinal or 0) for older, newer in pairs)


def test_letters_leave_in_the_order_they_came_and_leave_no_file_but_the_open_one(tmp_path: Path) -> None:
    outbox = outbox_in(OutboxFiles(tmp_path))
    letters = [letter_of(window(number) if number % 3 else event(number)) for number in range(1, 500)]
    for letter in letters:
        outbox.put(letter)
    assert len(files_in(tmp_path)) > 1
    assert drained(outbox) == letters
    assert [path.stat().st_size for path in tmp_path.iterdir()] == [0]
    assert outbox.size == 0


def test_the_next_process_sends_what_the_one_before_left(tmp_path: Path) -> None:
    letters = [letter_of(window(number)) for number in range(1, 300)]
    outbox = outbox_in(OutboxFiles(tmp_path))
    for letter in letters[:200]:
        outbox.put(letter)
    for letter in letters[:150]:
        outbox.remove(letter)
    again = outbox_in(OutboxFiles(tmp_path))
    for letter in letters[200:]:
        again.put(letter)
    # A drawer that was sent in part is sent again: the fleet knows its letters by their sequence.
    found = drained(again)
    assert found == letters[-len(found) :]
    assert len(found) >= 149


def test_a_full_outbox_merges_all_windows_evenly_and_loses_none(tmp_path: Path) -> None:
    outbox = outbox_in(OutboxFiles(tmp_path), max_bytes=1 << 19)
    sent = [window(number) for number in range(1, 4001)]
    for one in sent:
        outbox.put(letter_of(one))
    assert outbox.size <= 1 << 19
    found = windows_among(drained(outbox))
    assert outbox.dropped == Dropped()
    assert len(found) < 1000
    assert gaps(found) == 0
    assert sum(one.parts or 1 for one in found) == len(sent)
    assert sum(one.requests for one in found) == sum(one.requests for one in sent)
    assert merged(one.latencies for one in found if one.latencies) == merged(one.latencies for one in sent if one.latencies)
    # The newest are as fine as they came, and half of them all are finer than a minute and a half.
    assert found[-1].parts is None
    assert sorted(one.window_s for one in found)[len(found) // 2] <= 80


def test_when_nothing_can_be_merged_any_more_the_oldest_windows_go_and_are_counted(tmp_path: Path) -> None:
    outbox = outbox_in(OutboxFiles(tmp_path), max_bytes=1 << 18)
    count = 3000
    for number in range(1, count + 1):
        # Two releases take turns, so that no two windows follow each other.
        outbox.put(letter_of(window(number, release=number % 2 + 1)))
        if number == 1:
            outbox.put(letter_of(event(0)))
    assert outbox.size <= 1 << 18
    letters = drained(outbox)
    found = windows_among(letters)
    assert len(letters) == len(found) + 1  # the event is kept longer than any window of its time
    assert [one.ordinal for one in found] == list(range(count - len(found) + 1, count + 1))
    assert outbox.dropped == Dropped(windows=count - len(found))
    assert outbox_in(OutboxFiles(tmp_path)).dropped == outbox.dropped


def test_a_flood_of_events_does_not_drive_out_the_windows(tmp_path: Path) -> None:
    outbox = outbox_in(OutboxFiles(tmp_path), max_bytes=1 << 18)
    for number in range(1, 101):
        outbox.put(letter_of(window(number)))
    for number in range(5000):
        outbox.put(letter_of(event(number)))
    letters = drained(outbox)
    assert sum(one.parts or 1 for one in windows_among(letters)) + outbox.dropped.windows == 100
    assert len(letters) - len(windows_among(letters)) + outbox.dropped.others == 5000
    assert outbox.dropped.windows == 0


def test_what_is_being_sent_is_never_merged_nor_what_the_process_before_may_have_sent(tmp_path: Path) -> None:
    outbox = outbox_in(OutboxFiles(tmp_path), max_bytes=1 << 18)
    for number in range(1, 201):
        outbox.put(letter_of(window(number)))
    first = outbox.first()
    assert first is not None
    outbox.remove(first)
    again = outbox_in(OutboxFiles(tmp_path), max_bytes=1 << 18)
    for number in range(201, 3001):
        again.put(letter_of(window(number)))
    found = windows_among(drained(again))
    assert found[0].parts is None
    assert found[0].ordinal in (1, 2)
    assert gaps(found) == 0


@pytest.mark.parametrize("jump_s", [-(50 * 365 * 86400.0), 1e9, 0.0])
def test_age_counts_running_time_so_that_no_clock_purges_anything(tmp_path: Path, jump_s: float) -> None:
    clock = Clock()
    outbox = outbox_in(OutboxFiles(tmp_path), max_age_s=10 * 3600, clock=clock)
    outbox.put(letter_of(event(0)))
    outbox.put(letter_of(window(1)))
    clock.now_s = 5 * 3600
    outbox.put(letter_of(window(2)))
    # The next process's clock starts anywhere.
    clock = Clock(5 * 3600 + jump_s)
    outbox = outbox_in(OutboxFiles(tmp_path), max_age_s=10 * 3600, clock=clock)
    outbox.tend()
    assert outbox.dropped == Dropped()
    clock.now_s += 6 * 3600
    outbox.tend()
    assert outbox.dropped == Dropped(windows=1)
    clock.now_s += 6 * 3600
    outbox.tend()
    assert outbox.dropped == Dropped(windows=2)
    assert [letter.leaf for letter in drained(outbox)] == ["event"]


def test_a_disk_that_takes_nothing_is_told_and_what_came_is_written_when_it_does_again(tmp_path: Path) -> None:
    files = FaultyFiles(tmp_path)
    outbox = outbox_in(files, max_bytes=4 << 20)
    letters = [letter_of(window(number)) for number in range(1, 301)]
    for number, letter in enumerate(letters):
        files.fault = "No space left on device" if 100 <= number < 250 else ""
        outbox.put(letter)
        if number == 200:
            outbox.tend()
            assert "No space left" in outbox.trouble
    outbox.tend()
    assert outbox.trouble == ""
    assert drained(outbox_in(OutboxFiles(tmp_path))) == letters


def test_a_full_disk_is_told_once_although_all_that_came_could_be_sent(tmp_path: Path) -> None:
    # Given a link that takes every letter at once, so that none is left to try the disk with
    files = FaultyFiles(tmp_path)
    outbox = outbox_in(files)
    files.fault = "No space left on device"
    for number in range(1, 4):
        outbox.put(letter_of(window(number)))
        drained(outbox)
        # When the disk is tried again, then it is known to be as full as before
        outbox.tend()
        assert "No space left" in outbox.trouble
    # Until it is not
    files.fault = ""
    outbox.tend()
    assert outbox.trouble == ""


def test_on_a_disk_that_never_comes_back_memory_is_bounded(tmp_path: Path) -> None:
    files = FaultyFiles(tmp_path)
    outbox = outbox_in(files, max_bytes=64 << 20)
    files.fault = "Input/output error"
    for number in range(1, 4001):
        outbox.put(letter_of(window(number)))
    assert outbox.size <= MAX_MEMORY_BYTES
    found = windows_among(drained(outbox))
    assert sum(one.parts or 1 for one in found) + outbox.dropped.windows == 4000


def test_an_open_drawer_that_empties_and_fills_is_one_file_until_it_is_old(tmp_path: Path) -> None:
    clock = Clock()
    outbox = outbox_in(OutboxFiles(tmp_path), clock=clock)
    names = set()
    for number in range(1, 1000):
        outbox.put(letter_of(window(number)))
        drained(outbox)
        names.update(files_in(tmp_path))
    assert len(names) == 1
    clock.now_s = DRAWER_S + 1
    outbox.put(letter_of(window(1000)))
    assert len(files_in(tmp_path)) == 1
    assert names != set(files_in(tmp_path))


def test_windows_of_other_sessions_releases_and_gaps_are_not_joined() -> None:
    assert joined(window(1), window(3)) is None
    assert joined(window(1), window(2, release=2)) is None
    assert joined(window(1), window(2, session="f" * 16)) is None
    assert joined(window(1).model_copy(update={"latencies": None}), window(2)) is None
    assert joined(window(1).model_copy(update={"window_s": MAX_SPAN_S}), window(2)) is None


def test_a_joined_window_says_what_both_said() -> None:
    one = joined(window(1), window(2))
    assert one is not None
    assert (one.requests, one.errors, one.window_s, one.ordinal, one.parts, one.sequence) == (200, 2, 20.0, 2, 2, 2)
    assert one.started_at == window(1).started_at
    assert one.latency_ms.p99 == pytest.approx(20, rel=0.01)
    assert one.latency_ms.mean == pytest.approx(7)
    assert one.classes == {name: 2 * count for name, count in window(1).classes.items()}


def test_windows_of_several_models_are_merged_each_with_its_own() -> None:
    letters = [letter_of(window(number, model=model)) for number in range(1, 5) for model in ("digits", "birds")]
    letters.insert(3, letter_of(event(0)))
    found = halved(letters)
    assert Counter(one.release.model for one in windows_among(found)) == {"digits": 2, "birds": 2}
    assert len(found) == 5


def test_classes_of_joined_windows_are_bounded() -> None:
    older = window(1).model_copy(update={"classes": {f"old {i}": 5 for i in range(MAX_CLASSES)}})
    newer = window(2).model_copy(update={"classes": {f"new {i}": 3 for i in range(MAX_CLASSES)}})
    one = joined(older, newer)
    assert one is not None
    assert len(one.classes) == MAX_CLASSES + 1
    assert one.classes[OTHER_CLASSES] == 3 * MAX_CLASSES
    assert sum(one.classes.values()) == 8 * MAX_CLASSES


def test_what_candidates_did_in_shadow_adds_up_when_windows_are_joined() -> None:
    part = ShadowPart(
        manifest_sha256="2" * 64, compared=4, agreed=3, errors=1, dropped=2, paused_s=0.5, scored=4, shift=-0.25, shift_squares=0.25,
        latencies=Sketch.of({300: 4}), live_latencies=Sketch.of({200: 4}),
    )  # fmt: skip
    other = part.model_copy(update={"manifest_sha256": "3" * 64})

    def with_part(number: int, told: ShadowPart | None) -> InferenceWindow:
        return window(number).model_copy(update={"shadow": told})

    one = joined(with_part(1, part), with_part(2, part))
    assert one is not None
    assert one.shadow is not None
    sums = one.shadow.model_dump(exclude={"manifest_sha256", "latencies", "live_latencies"})
    assert sums == {name: 2 * value for name, value in part.model_dump(include=set(sums)).items()}
    assert (one.shadow.latencies.count, one.shadow.live_latencies.count) == (8, 8)
    found = [joined(with_part(1, ours), with_part(2, theirs)) for ours, theirs in ((part, None), (None, part), (part, other))]
    assert [None if both is None else both.shadow for both in found] == [part, part, other]
