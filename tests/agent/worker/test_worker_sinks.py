"""Where results go: a file that stays within its bytes and survives a power cut."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.worker.sinks.results_file import ResultsFile

MAX_BYTES = 4000


def lines_of(path: Path) -> list[int]:
    return [json.loads(line)["frame"] for line in path.read_text().splitlines()]


def test_both_files_together_stay_within_their_bytes_and_hold_the_newest_results(tmp_path: Path) -> None:
    path = tmp_path / "results" / "door.jsonl"
    results = ResultsFile(path, MAX_BYTES)

    for frame in range(500):
        results.append(json.dumps({"frame": frame}).encode())
        assert sum(file.stat().st_size for file in path.parent.iterdir()) <= MAX_BYTES

    kept = lines_of(path.with_name("door.jsonl.1")) + lines_of(path)
    assert kept == list(range(kept[0], 500))
    assert len(kept) > 100
    assert path.stat().st_mode & 0o077 == 0


def test_half_a_line_that_a_power_cut_left_spoils_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "door.jsonl"
    path.write_bytes(b'{"frame": 1}\n{"fra')

    ResultsFile(path, MAX_BYTES).append(b'{"frame": 3}')

    assert path.read_text().splitlines() == ['{"frame": 1}', '{"fra', '{"frame": 3}']


def test_a_place_that_takes_no_file_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(OSError, match="file"):
        ResultsFile(tmp_path / "file" / "door.jsonl", MAX_BYTES).append(b"{}")
