"""What keeps a device from taking a release, named before the first byte."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.core.preflight import Condition, refusal
from contracts.room import RESERVE_BYTES, WORKER_BYTES

FINE = Condition(
    disk_free_bytes=RESERVE_BYTES + 1000,
    memory_free_bytes=WORKER_BYTES + 2000,
    temperature_c=85.0,
    is_undervolted=False,
    battery_percent=20.0,
)


def test_a_device_that_has_just_enough_of_everything_takes_it() -> None:
    assert refusal(1000, 2000, FINE) is None
    assert refusal(1000, 2000, Condition(FINE.disk_free_bytes, FINE.memory_free_bytes)) is None


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (replace(FINE, disk_free_bytes=RESERVE_BYTES + 999), "disk"),
        (replace(FINE, memory_free_bytes=WORKER_BYTES + 1999), "memory"),
        (replace(FINE, is_undervolted=True), "power"),
        (replace(FINE, battery_percent=19.0), "power"),
        (replace(FINE, temperature_c=85.1), "heat"),
    ],
)
def test_what_is_wanting_is_named(found: Condition, name: str) -> None:
    refused = refusal(1000, 2000, found)
    assert refused is not None
    assert refused.name == name
    assert refused.text.startswith(f"{name}: expected ")
