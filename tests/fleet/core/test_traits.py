"""What of a device a blame report compares."""

from __future__ import annotations

from datetime import datetime, timezone

from contracts.lifecycle import Phase
from contracts.messages import Birth, Health, Machine, ModelReport, Reported, WorkerHealth
from fleet.core.blame import Case, blame
from fleet.core.devices import Device, HeardDevice
from fleet.core.rollout.model import Member
from fleet.core.traits import case_of

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
STAMP = {"session": "a" * 16, "sequence": 1, "sent_at": NOW}
MACHINE = Machine(architecture="aarch64", system="Linux 6.6", python="3.11", cpu_count=4, memory_bytes=8 << 30, disk_bytes=1)
BIRTH = Birth(
    **STAMP, online=True, agent_version="1.4", hardware="rpi5", targets=("rpi5",), runtimes={"onnx": "1.18"}, machine=MACHINE,
    labels={"rack": "2", "site": "paris"},
)  # fmt: skip


def health(provider: str, **fields: object) -> Health:
    worker = WorkerHealth(state="serving", restarts=0, rss_bytes=1, runtime="litert 2.14", provider=provider, preferred_provider="EdgeTPU")
    document = {
        **STAMP, "uptime_s": 1, "cpu_percent": 1, "memory_used_bytes": 1, "memory_total_bytes": 4, "disk_free_bytes": 1,
        "disk_total_bytes": 4, "workers": {"digits": worker}, **fields,
    }  # fmt: skip
    return Health.model_validate(document)


def test_a_case_tells_machine_agent_driver_labels_and_the_temperature_of_its_outcome() -> None:
    reported = Reported(**STAMP, generation=1, models={"digits": ModelReport(phase=Phase.COMMITTED, target="coral")})
    heard = HeardDevice(Device("pi-1", "rpi5", {"site": "lyon"}, NOW), BIRTH, reported)

    found = case_of(Member("pi-1", Phase.FAILED, None, None), "digits", heard, health("CPU", is_throttled=True), 81.5)

    assert found == Case(
        "pi-1",
        has_failed=True,
        facts={
            "hardware": "rpi5", "label.site": "lyon", "label.rack": "2", "agent": "1.4", "system": "Linux 6.6", "architecture": "aarch64",
            "python": "3.11", "memory": "8 GiB", "runtime.onnx": "1.18", "target": "coral", "loader": "litert 2.14",
            "driver": "CPU for lack of EdgeTPU", "throttled": "yes",
        },
        readings={"temperature_c": 81.5},
    )  # fmt: skip


def test_a_device_that_never_spoke_is_known_by_its_hardware_and_labels_alone() -> None:
    heard = HeardDevice(Device("pi-1", "rpi5", {}, NOW), None, None)

    found = case_of(Member("pi-1", Phase.COMMITTED, None, None), "digits", heard, None, None)

    assert found == Case("pi-1", False, {"hardware": "rpi5"}, {})


def test_a_driver_that_only_failed_devices_fell_back_to_is_blamed() -> None:
    heard = HeardDevice(Device("pi-1", "rpi5", {}, NOW), BIRTH, None)
    cases = [
        case_of(
            Member(f"pi-{number}", Phase.FAILED if number < 8 else Phase.COMMITTED, None, None), "digits", heard, health(provider), None
        )
        for number, provider in enumerate(["CPU"] * 8 + ["EdgeTPU"] * 40)
    ]

    (first, *_) = blame(cases)

    assert first.sentence == "8 of 8 failed devices have driver CPU for lack of EdgeTPU; 0 of 40 that passed do"


def test_a_label_that_failed_devices_lack_is_blamed() -> None:
    cases = [Case(f"pi-{number}", number < 8, {"label.site": "lyon"} if number >= 8 else {}, {}) for number in range(50)]

    (first, *_) = blame(cases)

    assert first.sentence == "8 of 8 failed devices have no label.site; 0 of 42 that passed do"


def test_that_failed_devices_run_nothing_is_no_cause() -> None:
    # Given devices that failed with the first release of a model, so that no driver runs it there
    runs = {"driver": "CPU", "loader": "onnx 1.18", "target": "rpi5"}
    cases = [Case(f"pi-{number}", number < 8, runs if number >= 8 else {}, {}) for number in range(50)]

    assert blame(cases) == ()
