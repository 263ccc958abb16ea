"""This very machine, taken stock of."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta, timezone
from pathlib import Path

from agent.adapters import proc
from agent.adapters.inventory import take_stock


def test_the_parts_of_this_machine_are_the_ones_that_the_kernel_tells_of() -> None:
    found = take_stock()
    now = datetime.now(timezone.utc)
    assert abs(now - found.booted_at - timedelta(seconds=proc.uptime_s())) < timedelta(minutes=1)
    assert {interface.name for interface in found.interfaces} <= {path.name for path in Path("/sys/class/net").iterdir()} - {"lo"}
    for volume in found.volumes:
        assert volume.total_bytes == shutil.disk_usage(volume.path).total
    assert found.draining_battery_percent == proc.draining_battery_percent()
