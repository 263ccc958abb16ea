"""What a preview says of devices that a release would leave out."""

from __future__ import annotations

from fleet.core.fit import Misfit
from fleet.preview import MAX_REASONS, obstacles_of

CORAL = Misfit("target", "it runs coral, and the release was compiled for rpi5")
CPU = Misfit("target", "it runs cpu, and the release was compiled for rpi5")


def test_devices_of_two_kinds_are_left_out_each_for_its_own_reason() -> None:
    found = obstacles_of({"pi-1": CORAL, "pi-2": CPU, "pi-3": CORAL})
    assert [(one.obstacle, one.devices, one.reason, one.such_as) for one in found] == [
        ("target", 2, CORAL.reason, ("pi-1", "pi-3")),
        ("target", 1, CPU.reason, ("pi-2",)),
    ]


def test_a_reason_that_is_one_devices_alone_says_whose_it_is() -> None:
    # Given free room, which differs from device to device
    full = {f"pi-{free}": Misfit("disk", f"disk: expected 9 MB, found {free} MB") for free in (1, 2, 3, 4)}
    [told] = obstacles_of(full)
    assert (told.devices, told.reason) == (4, "pi-1: disk: expected 9 MB, found 1 MB")
    [alone] = obstacles_of({"pi-1": full["pi-1"]})
    assert alone.reason == "disk: expected 9 MB, found 1 MB"


def test_reasons_without_end_are_told_together() -> None:
    found = obstacles_of({f"pi-{number}": Misfit("target", f"it runs board {number}") for number in range(1000)})
    assert len(found) == MAX_REASONS + 1
    assert sum(one.devices for one in found) == 1000
