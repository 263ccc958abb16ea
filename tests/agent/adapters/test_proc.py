"""What the kernel says of the machine, read as it is and as it may be elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from agent.adapters import proc


def supply(folder: Path, **words: str) -> None:
    folder.mkdir()
    for name, word in words.items():
        (folder / name).write_text(word + "\n")


def test_memory_and_uptime_are_what_an_independent_reader_finds() -> None:
    found = proc.memory()
    assert found.total_bytes == psutil.virtual_memory().total
    assert found.available_bytes == pytest.approx(psutil.virtual_memory().available, rel=0.5)
    assert proc.rss_bytes(os.getpid()) == pytest.approx(psutil.Process().memory_info().rss, rel=0.2)
    assert proc.uptime_s() > 0


def test_a_process_that_has_ended_holds_no_memory(tmp_path: Path) -> None:
    assert proc.rss_bytes(12345, tmp_path) == 0


def test_load_is_the_busy_share_of_the_time_since_it_was_asked_before(tmp_path: Path) -> None:
    # Given a kernel that has counted some time: user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice
    (tmp_path / "stat").write_text("cpu  100 0 50 800 50 0 0 0 40 0\ncpu0 1 2 3\n")
    meter = proc.LoadMeter(tmp_path)
    # When 40 of it more were spent on work, of which a guest had 20, and 60 idle or waiting for a disk
    (tmp_path / "stat").write_text("cpu  130 0 60 840 70 0 0 0 60 0\ncpu0 1 2 3\n")
    assert meter.percent() == pytest.approx(40)
    # Then the next interval begins there
    assert meter.percent() == 0


def test_a_battery_counts_while_the_device_runs_from_it(tmp_path: Path) -> None:
    supply(tmp_path / "AC", type="Mains", online="0")
    supply(tmp_path / "mouse", type="Battery", status="Discharging", scope="Device", capacity="3")
    assert proc.draining_battery_percent(tmp_path) is None
    supply(tmp_path / "BAT0", type="Battery", status="Discharging", capacity="57")
    assert proc.draining_battery_percent(tmp_path) == 57
    (tmp_path / "BAT0" / "status").write_text("Charging\n")
    assert proc.draining_battery_percent(tmp_path) is None


def test_a_battery_that_does_not_say_how_full_it_is_says_nothing(tmp_path: Path) -> None:
    supply(tmp_path / "BAT0", type="Battery", status="Discharging")
    assert proc.draining_battery_percent(tmp_path) is None
    assert proc.draining_battery_percent(tmp_path / "none") is None
