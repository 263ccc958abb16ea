"""Writes folders that look like the /sys of a Raspberry Pi, of a Jetson, or of a device with Edge TPUs."""

from __future__ import annotations

from pathlib import Path

FIRMWARE = "devices/platform/soc/soc:firmware/get_throttled"


def write(sys: Path, files: dict[str, str]) -> Path:
    """Write files below `sys`."""
    for name, said in files.items():
        place = sys / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(said + "\n")
    return sys


def raspberry_pi(sys: Path) -> Path:
    """A Pi 4 under Raspberry Pi OS: under-voltage now, throttled since the start."""
    zone = {"class/thermal/thermal_zone0/type": "cpu-thermal", "class/thermal/thermal_zone0/temp": "61835"}
    alarm = {"class/hwmon/hwmon1/name": "rpi_volt", "class/hwmon/hwmon1/in0_lcrit_alarm": "1"}
    return write(sys, {**zone, **alarm, FIRMWARE: "50001"})


def jetson(sys: Path) -> Path:
    """An Orin Nano under JetPack 6: a module's input, two rails within it, and a GPU that is slowed."""
    files = {f"class/thermal/thermal_zone{index}/temp": str(temp) for index, temp in enumerate((51_250, 53_500, -256_000))}
    chip = "class/hwmon/hwmon2"
    files[f"{chip}/name"] = "ina3221"
    rails = {1: ("VDD_IN", 5000, 1300), 2: ("VDD_CPU_GPU_CV", 5000, 420), 3: ("VDD_SOC", 4992, 360)}
    for channel, (label, millivolts, milliamperes) in rails.items():
        files |= {f"{chip}/in{channel}_label": label, f"{chip}/in{channel}_input": str(millivolts)}
        files[f"{chip}/curr{channel}_input"] = str(milliamperes)
    files |= {f"{chip}/in7_label": "sum of shunt voltages", f"{chip}/in7_input": "3"}
    coolers = {0: ("pwm-fan", 3, "state0 0\nstate3 900"), 1: ("thermal-cpufreq-0", 0, "state0 1000\nstate1 0")}
    coolers[2] = ("devfreq-17000000.gpu", 2, "state0\t700\nstate1\t200\nstate2\t100")
    for index, (kind, state, spent) in coolers.items():
        place = f"class/thermal/cooling_device{index}"
        files |= {f"{place}/type": kind, f"{place}/cur_state": str(state), f"{place}/stats/time_in_state_ms": spent}
    return write(sys, files)


def edge_tpus(sys: Path) -> Path:
    """Two Edge TPUs on one M.2 card."""
    return write(sys, {"class/apex/apex_0/temp": "47800", "class/apex/apex_1/temp": "52300"})
