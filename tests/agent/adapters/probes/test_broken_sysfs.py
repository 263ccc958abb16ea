"""Sensors that are broken in every way a file can be: each of them is absent then, and none of them an error."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.adapters.probes import edge_tpu, files, jetson, raspberry, thermal
from agent.adapters.sensors import Sensors
from tests.agent.adapters.probes import sysfs

HUGE_BYTES = 64 << 20


def look(sys: Path) -> tuple[object, ...]:
    """Ask every probe."""
    found = (thermal.hottest_c(sys), thermal.is_slowed(sys), raspberry.is_undervolted(sys), jetson.rails_w(sys), edge_tpu.hottest_c(sys))
    return (*found, anyio.run(raspberry.Firmware(sys).throttled_bits))


NOTHING: tuple[object, ...] = (None, None, None, {}, None, None)


def board(sys: Path) -> Path:
    """Lay out everything that any board has."""
    return sysfs.edge_tpus(sysfs.jetson(sysfs.raspberry_pi(sys)))


def every_file(sys: Path) -> list[Path]:
    return [path for path in sys.rglob("*") if path.is_file()]


def refuse(file: Path) -> None:
    # Root may read any file, but not one that is a folder, which fails in read and not in open.
    file.unlink()
    file.mkdir()


def tell_nothing(file: Path) -> None:
    file.write_bytes(b"")


def tell_nonsense(file: Path) -> None:
    file.write_bytes(b"\xff\x00 temp_input: n/a \xfe")


def tell_too_much(file: Path) -> None:
    with file.open("wb") as stream:
        stream.truncate(HUGE_BYTES)


def tell_a_huge_number(file: Path) -> None:
    file.write_text("9" * 4000)


def wait_for_a_writer(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def lead_to_itself(file: Path) -> None:
    file.unlink()
    file.symlink_to(file)


WAYS = (refuse, tell_nothing, tell_nonsense, tell_too_much, tell_a_huge_number, wait_for_a_writer, lead_to_itself)


@pytest.mark.parametrize("spoil", WAYS)
def test_a_board_whose_every_sensor_is_spoilt_is_one_without_sensors(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    sys = board(tmp_path / "sys")
    assert NOTHING[0] != look(sys)[0]
    for file in every_file(sys):
        spoil(file)
    assert look(sys) == NOTHING
    assert anyio.run(Sensors(tmp_path, tmp_path).read).temperature_c is None


@pytest.mark.parametrize("spoil", WAYS)
def test_one_spoilt_sensor_takes_no_other_with_it(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    sys = board(tmp_path)
    spoil(sys / "class/thermal/thermal_zone1/temp")
    spoil(sys / "class/hwmon/hwmon2/curr1_input")
    spoil(sys / "class/apex/apex_1/temp")
    # The Pi's zone 0 was overwritten by the Jetson's.
    assert thermal.hottest_c(sys) == 51.25
    assert jetson.rails_w(sys).keys() == {"VDD_CPU_GPU_CV", "VDD_SOC"}
    assert edge_tpu.hottest_c(sys) == 47.8


def test_no_more_is_read_of_a_file_than_a_sensor_says(tmp_path: Path) -> None:
    endless = tmp_path / "temp"
    endless.symlink_to("/dev/zero")
    assert files.text(endless) == ""
    endless.unlink()
    endless.write_text("1" * files.MAX_BYTES)
    assert len(files.text(endless)) == files.MAX_BYTES
    endless.write_text("1" * (files.MAX_BYTES + 1))
    assert files.text(endless) == ""


def test_no_more_parts_are_looked_at_than_a_machine_has(tmp_path: Path) -> None:
    for index in range(3 * files.MAX_ENTRIES):
        (tmp_path / f"apex_{index}").touch()
    assert len(files.entries(tmp_path, "apex_*")) == files.MAX_ENTRIES


def test_a_folder_that_is_none_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "class").write_text("a file")
    assert look(tmp_path) == NOTHING
    assert look(tmp_path / "class") == NOTHING


def test_sensors_may_vanish_while_they_are_read(tmp_path: Path) -> None:
    # Given a board that comes and goes all the time
    sys, is_over = tmp_path / "sys", threading.Event()

    def come_and_go() -> None:
        while not is_over.is_set():
            shutil.rmtree(board(sys), ignore_errors=True)

    coming = threading.Thread(target=come_and_go)
    coming.start()
    # When it is read meanwhile, then each reading is what a sensor said, or nothing
    try:
        temperatures = {thermal.hottest_c(sys) for _ in range(300)} | {edge_tpu.hottest_c(sys) for _ in range(300)}
        rails = [jetson.rails_w(sys) for _ in range(100)]
    finally:
        is_over.set()
        coming.join()
    assert temperatures <= {None, 61.835, 51.25, 53.5, 47.8, 52.3}
    assert all(rail.keys() <= {"VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"} for rail in rails)


@given(said=st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_whatever_a_sensor_says_it_is_a_plausible_number_or_nothing(tmp_path_factory: pytest.TempPathFactory, said: bytes) -> None:
    sys = board(tmp_path_factory.mktemp("board"))
    for file in every_file(sys):
        if file.name not in ("name", "type"):
            file.write_bytes(said)
    found = thermal.hottest_c(sys), edge_tpu.hottest_c(sys)
    assert all(reading is None or -100 < reading < 250 for reading in found)
    assert all(0 <= watts <= jetson.MAX_RAIL_W for watts in jetson.rails_w(sys).values())
    shutil.rmtree(sys)
