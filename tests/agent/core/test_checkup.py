"""What a doctor finds, and advises."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from agent.core.checkup import Facts, Node, Seen, findings
from agent.core.finding import Finding
from agent.core.inventory import Interface, Inventory, Volume, Warmth
from agent.core.renewal import Span

SIGNER = "a" * 64
NOW = datetime(2026, 6, 1, tzinfo=timezone.utc)
SOUND = Inventory(
    booted_at=NOW - timedelta(days=40),
    volumes=(Volume("/", free_bytes=20 << 30, total_bytes=32 << 30, is_read_only=False),),
    warmths=(Warmth("cpu_thermal", 50.0, critical_c=110.0), Warmth("rp1_adc", 48.0, critical_c=None)),
    draining_battery_percent=None,
    interfaces=(Interface("eth0", is_up=True, has_address=True, megabits_per_s=1000), Interface("wlan0", False, False, 0)),
)
HEALTHY = Facts(
    service_state="active",
    upgrade_cut_off=False,
    user="fieldfare",
    now=NOW,
    floor=NOW - timedelta(days=1),
    is_synchronized=True,
    state_dir="/var/lib/fieldfare",
    state_problem="",
    disk_free_bytes=20 << 30,
    broker="fleet.example:8483",
    link_problem="",
    certificate=Span(begins=NOW - timedelta(days=10), ends=NOW + timedelta(days=20), authority=SIGNER),
    certificate_problem="",
    hardware="coral",
    runtimes={"litert": "2.14.0"},
    delegates=("libedgetpu",),
    accelerators=(Node("/dev/apex_0", "apex", is_open=True),),
    cameras=(Node("/dev/video0", "video", is_open=True),),
    others=(),
    throttled_bits=0,
    temperature_c=50.0,
    inventory=SOUND,
)


def found(**changes: object) -> dict[str, Finding]:
    """Examine a healthy device of which some facts are others; return what is not well."""
    return {finding.check: finding for finding in findings(replace(HEALTHY, **changes)) if finding.verdict != "ok"}  # type: ignore[arg-type]  # named facts of many types


def test_a_healthy_device_passes_every_check_and_needs_no_advice() -> None:
    assert found() == {}
    assert [finding.advice for finding in findings(HEALTHY)] == [""] * 16


@pytest.mark.parametrize(
    ("changes", "check", "verdict", "advice"),
    [
        ({"service_state": "failed"}, "service", "fail", "journalctl"),
        ({"sights": (Seen("door", "/dev/video0", problem="it is not there"),)}, "cameras", "fail", "plug"),
        ({"service_state": None}, "service", "warn", "agent install"),
        ({"upgrade_cut_off": True}, "service", "warn", "upgrade again"),
        ({"now": NOW - timedelta(days=3)}, "clock", "warn", "NTP"),
        ({"is_synchronized": False}, "clock", "warn", "set-ntp"),
        ({"disk_free_bytes": 500 << 20}, "disk", "warn", "make room"),
        ({"disk_free_bytes": 5 << 20}, "disk", "fail", "make room"),
        ({"disk_free_bytes": None, "state_problem": "Permission denied"}, "disk", "fail", "belong to fieldfare"),
        ({"link_problem": "Connection refused"}, "link", "fail", "firewall"),
        ({"certificate": None, "certificate_problem": "none"}, "certificate", "fail", "device token"),
        ({"certificate": Span(begins=NOW - timedelta(days=9), ends=NOW, authority=SIGNER)}, "certificate", "fail", "enrol anew"),
        (
            {"certificate": Span(begins=NOW - timedelta(days=9), ends=NOW + timedelta(days=1), authority=SIGNER)},
            "certificate",
            "warn",
            "link",
        ),
        ({"runtimes": {}}, "runtimes", "fail", "fieldfare[litert]"),
        ({"delegates": ()}, "delegates", "fail", "libedgetpu1-std"),
        ({"accelerators": ()}, "accelerators", "fail", "lsusb"),
        ({"cameras": (Node("/dev/video0", "video", is_open=False),)}, "permissions", "fail", "usermod -aG video fieldfare"),
        ({"throttled_bits": 0x1}, "throttling", "fail", "power supply"),
        ({"throttled_bits": 0x50000}, "throttling", "warn", "power supply"),
        ({"temperature_c": 80.0}, "throttling", "warn", "heat sink"),
        ({"inventory": replace(SOUND, booted_at=NOW + timedelta(days=1))}, "start", "warn", "clock"),
        ({"inventory": replace(SOUND, volumes=(Volume("/", 9 << 30, 9 << 30, is_read_only=True),))}, "volumes", "warn", "dmesg"),
        ({"inventory": replace(SOUND, volumes=(Volume("/boot", 1 << 20, 1 << 29, is_read_only=False),))}, "volumes", "warn", "make room"),
        ({"inventory": replace(SOUND, warmths=(Warmth("nvme", 82.0, critical_c=84.0),))}, "sensors", "warn", "fan"),
        ({"inventory": replace(SOUND, draining_battery_percent=12.0)}, "battery", "warn", "plug it in"),
        ({"inventory": replace(SOUND, interfaces=SOUND.interfaces[1:])}, "network", "fail", "cable"),
    ],
)
def test_what_is_wrong_is_found_alone_and_with_advice(changes: dict[str, object], check: str, verdict: str, advice: str) -> None:
    wrong = found(**changes)
    assert list(wrong) == [check]
    assert wrong[check].verdict == verdict
    assert advice in wrong[check].advice


def test_a_device_without_sensors_or_accelerators_lacks_nothing() -> None:
    plain = {"hardware": "cpu", "accelerators": (), "cameras": (), "delegates": (), "throttled_bits": None, "temperature_c": None}
    bare = replace(SOUND, volumes=(), warmths=())
    assert found(**plain, is_synchronized=None, floor=None, inventory=bare) == {}
