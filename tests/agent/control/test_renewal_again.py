"""When a device asks again for a certificate that is due, and that nobody gave it."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import anyio

from agent.adapters.outbox_files import OutboxFiles
from agent.control.renewal import Renewal
from agent.control.reporter import Identity, Reporter
from agent.control.uplink import Uplink
from agent.core.memory import Memory
from agent.core.outbox import Outbox
from agent.core.renewal import NextKey, Span
from agent.core.shelf import Limits
from contracts.agent_config import DeviceSection
from tests.sim.day import AUTHORITY, AnyIdentity, LastingCredentials
from tests.sim.day_broker import DEVICE
from tests.sim.small_device import MACHINE
from tests.sim.time import SimulatedTime

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


class DueCredentials(LastingCredentials):
    """A certificate in the last third of its life."""

    async def make(self, device: str) -> NextKey:
        """Make something that is as good as a key."""
        return NextKey(key="key", csr="csr")

    async def span(self, device: str, identity: str, authority: str) -> Span:
        """Return one that is due."""
        return Span(begins=NOW - timedelta(days=300), ends=NOW + timedelta(days=65), authority=AUTHORITY)


class NoLine(Uplink):
    """A line that is not connected, and remembers when it was asked."""

    def __init__(self) -> None:
        """Nobody asked yet."""
        self.asked_s: list[float] = []

    async def send_now(self, leaf: str, payload: bytes) -> bool:
        """Take nothing."""
        self.asked_s.append(time.monotonic())
        return False


def test_a_request_that_found_no_link_is_made_again_soon_and_then_ever_more_seldom(tmp_path: Path) -> None:
    # Given a device whose certificate is due, and that has no link
    line = NoLine()
    outbox = Outbox(OutboxFiles(tmp_path), Limits(1 << 16, 1e6), time.monotonic)
    reporter = Reporter(Identity(DeviceSection(id=DEVICE, hardware="cpu"), "0", {}, MACHINE, "0" * 16), Memory(), outbox)
    renewal = Renewal(AnyIdentity(), DueCredentials(), line, reporter, lambda: NOW)

    async def run_for_a_while() -> None:
        with anyio.move_on_after(300):
            await renewal.run()

    # When some minutes pass
    SimulatedTime().run(run_for_a_while())

    # Then it asked again, each time after twice as long
    first_s = line.asked_s[0]
    assert [round(at_s - first_s) for at_s in line.asked_s] == [0, 30, 90, 210]
