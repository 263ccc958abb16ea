"""What boards say of their heat, their power and their supply, read from folders laid out as their kernels do it."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from agent.adapters.probes import edge_tpu, jetson, raspberry, thermal
from agent.adapters.sensors import Sensors
from agent.core.probation import Heat
from agent.core.readings import Readings
from contracts.messages import Health
from tests.agent.adapters.probes import sysfs


def firmware(sys: Path) -> int | None:
    return anyio.run(raspberry.Firmware(sys).throttled_bits)


def readings(root: Path) -> Readings:
    return anyio.run(Sensors(root, root).read)


def test_the_hottest_zone_counts_and_one_that_is_switched_off_does_not(tmp_path: Path) -> None:
    assert thermal.hottest_c(sysfs.jetson(tmp_path)) == 53.5


def test_a_fan_that_turns_slows_nobody_down(tmp_path: Path) -> None:
    sys = sysfs.jetson(tmp_path)
    assert thermal.is_slowed(sys) is True
    sysfs.write(sys, {"class/thermal/cooling_device2/cur_state": "0"})
    assert thermal.is_slowed(sys) is False


def test_the_slowed_share_is_that_of_the_interval_and_of_the_processor_that_was_slowed_longest(tmp_path: Path) -> None:
    # Given counters that have run for a while
    sys = sysfs.jetson(tmp_path)
    meter = thermal.SlowMeter(sys)
    # When 400 ms pass, 100 of which a GPU is slowed in, and a CPU none
    states = "class/thermal/cooling_device{}/stats/time_in_state_ms"
    sysfs.write(sys, {states.format(1): "state0 1400\nstate1 0", states.format(2): "state0 1000\nstate1 200\nstate2 200"})
    assert meter.share() == pytest.approx(0.25)
    # Then the next interval begins there, and nothing is said of one in which no time has passed, or that counts backwards
    assert meter.share() is None
    sysfs.write(sys, {states.format(1): "state0 5\nstate1 0", states.format(2): "state0 5\nstate1 0\nstate2 0"})
    assert meter.share() is None


def test_a_pi_tells_of_its_supply_by_its_firmware_and_by_its_kernel(tmp_path: Path) -> None:
    sys = sysfs.raspberry_pi(tmp_path)
    assert firmware(sys) == 0x50001
    assert raspberry.is_undervolted(sys) is True
    sysfs.write(sys, {"class/hwmon/hwmon1/in0_lcrit_alarm": "0"})
    assert raspberry.is_undervolted(sys) is False


def test_a_pi_5_has_its_firmware_elsewhere(tmp_path: Path) -> None:
    sysfs.write(tmp_path, {"devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled": "0x0"})
    assert firmware(tmp_path) == 0


def test_where_the_kernel_has_no_file_the_pis_own_program_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a program of that name; what it says is what a Pi's says
    program = tmp_path / "vcgencmd"
    program.write_text("#!/bin/sh\necho throttled=0x80008\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert firmware(tmp_path) == 0x80008
    # When it may not ask, or does not answer as it does
    for words in ("echo VCHI initialization failed >&2; exit 255", "echo throttled=0x8zzz", "printf '\\377'"):
        program.write_text(f"#!/bin/sh\n{words}\n")
        assert firmware(tmp_path) is None


def test_a_jetson_tells_the_watts_of_each_rail_and_of_the_whole_module(tmp_path: Path) -> None:
    rails = jetson.rails_w(sysfs.jetson(tmp_path))
    assert rails == pytest.approx({"VDD_IN": 6.5, "VDD_CPU_GPU_CV": 2.1, "VDD_SOC": 1.79712})
    assert jetson.input_w(rails) == pytest.approx(6.5)


def test_rails_that_may_contain_each_other_are_not_added_up() -> None:
    assert jetson.input_w({"VDD_GPU_SOC": 4.0, "VDD_CPU_CV": 1.0, "VIN_SYS_5V0": 4.2}) is None


def test_a_monitor_that_knows_the_power_itself_is_believed(tmp_path: Path) -> None:
    chip = "class/hwmon/hwmon0"
    said = {"name": "ina238", "in1_label": "VIN", "in1_input": "19000", "curr1_input": "1", "power1_input": "41500000"}
    sysfs.write(tmp_path, {f"{chip}/{name}": words for name, words in said.items()})
    assert jetson.rails_w(tmp_path) == {"VIN": 41.5}


def test_rails_without_a_use_or_with_an_impossible_name_or_load_are_left_out(tmp_path: Path) -> None:
    sys = sysfs.jetson(tmp_path)
    sysfs.write(sys, {"class/hwmon/hwmon2/in1_label": "NC", "class/hwmon/hwmon2/in2_label": "<b>", "class/hwmon/hwmon2/curr3_input": "-40"})
    assert jetson.rails_w(sys) == {}


def test_the_hottest_edge_tpu_counts(tmp_path: Path) -> None:
    assert edge_tpu.hottest_c(sysfs.edge_tpus(tmp_path)) == 52.3


def test_what_a_device_has_reaches_its_health_and_what_it_lacks_is_not_written(tmp_path: Path) -> None:
    # Given a Jetson with Edge TPUs, and a machine with neither
    sysfs.edge_tpus(sysfs.jetson(tmp_path / "jetson" / "sys"))
    (tmp_path / "bare").mkdir()
    stamp = {"session": "0" * 16, "sequence": 1, "sent_at": "2026-01-02T03:04:05Z"}
    full, bare = (Health(**stamp, **vars(readings(tmp_path / name))) for name in ("jetson", "bare"))
    # Then the one tells of all it has
    assert (full.power_w, full.edge_tpu_temperature_c, full.is_throttled) == (6.5, 52.3, True)
    # And the other's message has no word of it
    written = bare.model_dump(mode="json")
    assert written.keys().isdisjoint({"power_w", "rails_w", "throttled_share", "is_undervolted", "edge_tpu_temperature_c"})


def test_a_release_is_judged_by_what_slows_any_kind_of_board(tmp_path: Path) -> None:
    sysfs.jetson(tmp_path / "jetson" / "sys")
    sysfs.raspberry_pi(tmp_path / "pi" / "sys")
    assert anyio.run(Sensors(tmp_path, tmp_path / "jetson").heat) == Heat(53.5, is_throttled=True)
    assert anyio.run(Sensors(tmp_path, tmp_path / "pi").heat) == Heat(61.835, is_throttled=True)
    assert anyio.run(Sensors(tmp_path, tmp_path / "pi").condition).is_undervolted is True
