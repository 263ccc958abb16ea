"""The outbox's files: there after SIGKILL, good after a torn write, and gone when they were sent."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.adapters.outbox_files import OutboxFiles
from agent.core.drawers import Label, Letter
from agent.core.shelf import Dropped
from agent.errors import StateError
from tests.sim.shelf import drained, letter_of, outbox_in, window, windows_among

ROOT = Path(__file__).parents[3]
LABEL = Label(0, 0, 0, 7)
WRITER = """
import sys
from pathlib import Path
from agent.adapters.outbox_files import OutboxFiles
from tests.sim.shelf import letter_of, outbox_in, window
outbox = outbox_in(OutboxFiles(Path(sys.argv[1])), max_bytes=1 << 18)
number = 0
while True:
    number += 1
    outbox.put(letter_of(window(number)))
    print(number, flush=True)
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 512 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("a small disk can be mounted by root only")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)], capture_output=True, timeout=60, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], timeout=60, check=True)


@pytest.mark.parametrize("count", [50, 1500])
def test_what_was_queued_before_a_kill_is_there_after_it_also_while_windows_are_merged(tmp_path: Path, count: int) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            if int(line) == count:
                writer.kill()
        acknowledged = int(line)
    outbox = outbox_in(OutboxFiles(tmp_path))
    letters = drained(outbox)
    parts = [range((one.ordinal or 0) - (one.parts or 1) + 1, (one.ordinal or 0) + 1) for one in windows_among(letters)]
    found = [ordinal for part in parts for ordinal in part]
    assert found[:acknowledged] == list(range(1, acknowledged + 1))
    assert outbox.dropped == Dropped()


def test_a_torn_line_costs_only_itself(tmp_path: Path) -> None:
    files = OutboxFiles(tmp_path)
    assert files.labels() == ()
    letters = [letter_of(window(number)) for number in range(1, 6)]
    files.write(LABEL, letters)
    path = next(tmp_path.iterdir())
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b'"sequence":2', b'"sequence":9')[:-10])
    assert files.read(LABEL) == [letters[0], *letters[2:4]]


def test_a_drawer_that_was_merged_but_not_removed_is_not_sent_twice(tmp_path: Path) -> None:
    files = OutboxFiles(tmp_path)
    outbox = outbox_in(files)
    outbox.put(letter_of(window(1)))
    files.write(Label(1, 1, 0, 0), [letter_of(window(2))])
    files.write(Label(2, 2, 0, 0), [letter_of(window(3))])
    merged = Letter("inference", b"merged")
    files.write(Label(1, 2, 1, 0), [merged])
    (tmp_path / ".half.letters.new").write_bytes(b"half")
    assert drained(outbox_in(OutboxFiles(tmp_path))) == [letter_of(window(1)), merged]
    assert not list(tmp_path.iterdir())


def test_a_full_disk_stops_nothing_and_takes_up_again_when_there_is_room(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(420 * 1024))
    outbox = outbox_in(OutboxFiles(small_disk / "outbox"))
    letters = [letter_of(window(number)) for number in range(1, 401)]
    for letter in letters:
        outbox.put(letter)
    assert "No space left" in outbox.trouble
    outbox.tend()
    assert "No space left" in outbox.trouble
    ballast.unlink()
    outbox.tend()
    assert outbox.trouble == ""
    assert drained(outbox_in(OutboxFiles(small_disk / "outbox"))) == letters


def test_a_folder_that_is_none_is_told_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "outbox").write_text("a file")
    outbox = outbox_in(OutboxFiles(tmp_path / "outbox"))
    outbox.put(letter_of(window(1)))
    assert "outbox" in outbox.trouble
    assert len(drained(outbox)) == 1
    with pytest.raises(StateError):
        OutboxFiles(tmp_path / "outbox").labels()


def test_files_are_synced_once_and_those_that_went_are_no_error(tmp_path: Path) -> None:
    files = OutboxFiles(tmp_path)
    outbox = outbox_in(files)
    outbox.put(letter_of(window(1)))
    unsynced = outbox.take_unsynced()
    assert len(unsynced) == 1
    assert outbox.take_unsynced() == frozenset()
    files.sync({*unsynced, Label(9, 9, 0, 0)})
    files.close()
