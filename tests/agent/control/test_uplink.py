"""The line to the broker loses no wish to listen, however the moments fall."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from agent.control.reporter import Identity, Reporter
from agent.control.uplink import Uplink
from agent.core.memory import Memory
from contracts.agent_config import DeviceSection
from contracts.messages import Machine
from tests.sim.slow_broker import SlowBroker

MACHINE = Machine(architecture="aarch64", system="Linux", python="3.11", cpu_count=4, memory_bytes=1, disk_bytes=1)
CHUNKS = "ff/v1/chunk/" + "ab" * 32 + "/+"


async def before_it_starts(uplink: Uplink, broker: SlowBroker) -> None:
    await uplink.listen(CHUNKS)


async def while_subscriptions_wait(uplink: Uplink, broker: SlowBroker) -> None:
    await broker.has_filters.wait()
    listening = asyncio.ensure_future(uplink.listen(CHUNKS))
    await asyncio.sleep(0)
    broker.confirm.set()
    await listening


async def after_all_is_confirmed(uplink: Uplink, broker: SlowBroker) -> None:
    broker.confirm.set()
    await broker.has_filters.wait()
    await asyncio.sleep(0.01)
    await uplink.listen(CHUNKS)


@pytest.mark.parametrize("listen", [before_it_starts, while_subscriptions_wait, after_all_is_confirmed])
def test_whoever_listens_is_subscribed(listen: Callable[[Uplink, SlowBroker], Awaitable[None]]) -> None:
    async def converse() -> list[str]:
        broker = SlowBroker()
        identity = Identity(DeviceSection(id="pi-1", hardware="rpi5"), "0.1.0", {}, MACHINE, "0" * 16)

        async def ignore(topic: str, payload: bytes) -> None:
            """Hear nothing."""

        uplink = Uplink(broker, Reporter(identity, Memory()), ignore)
        stop = asyncio.Event()
        if listen is before_it_starts:
            await listen(uplink, broker)
        running = asyncio.ensure_future(uplink.run(stop))
        if listen is not before_it_starts:
            await listen(uplink, broker)
        broker.confirm.set()
        await broker.has_birth.wait()
        await asyncio.sleep(0.01)
        stop.set()
        await running
        return broker.filters

    assert CHUNKS in asyncio.run(asyncio.wait_for(converse(), 10))
