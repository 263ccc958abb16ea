"""Keeps the connection to the broker alive, lets the device speak over it, and hands on what arrives."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import datetime

import anyio

from agent.control.ports.link import Broker, Connection
from agent.control.promise import Promise
from agent.control.reporter import Reporter, utc_now
from agent.control.speaker import Speaker
from agent.core.audience import Audience
from agent.core.reconnect import loss_of, wait_s
from agent.core.said import Said
from agent.errors import LinkLostError
from contracts.mqtt_reasons import Fate, fate_of, words
from contracts.topics import DOWNLINKS, TRUST, of_commands, of_device

# A link that held for so long was a good one: the next loss starts over with short waits.
STEADY_S = 30.0
# A connection gives up waiting for the broker long before; what hangs for so long hangs in us.
EXCHANGE_S = 180.0

log = logging.getLogger(__name__)


class Uplink:
    """The device's line to its fleet."""

    def __init__(
        self,
        broker: Broker,
        reporter: Reporter,
        on_message: Callable[[str, bytes], Awaitable[None]],
        keepalive_s: float,
        said: Said | None = None,
    ) -> None:
        """Give every message of the subscribed topics to `on_message`; all waits between connections are counted in `keepalive_s`.

        What was `said` already, by the process before too, is said again after a loss of the link, and at the first connection.
        """
        self.promise = Promise("uplink")
        # When the broker was heard last; None before the first time. While there is a link it may be older: answers to pings do not count.
        self.last_contact_at: datetime | None = None
        # It has brought a wish over the present connection.
        self._has_brought_wish = False
        self._broker = broker
        self._keepalive_s = keepalive_s
        self._reporter = reporter
        self._on_message = on_message
        self._device = reporter.identity.device.id
        self._wish_topic = of_device(self._device, "desired")
        # Offers belong to the connection for files.
        self._filters = [*(of_device(self._device, leaf) for leaf in DOWNLINKS if leaf != "offer"), of_commands(self._device), f"{TRUST}/+"]
        self._connection: Connection | None = None
        self._lost_at_s: float | None = None
        self._speaker = Speaker(reporter, said or Said(), self._publish)
        # Set when the connection is to be made anew, although nothing is wrong with it.
        self._is_outdated = asyncio.Event()
        # The next connection is to another broker: the present one is to know that we are gone.
        self._is_moving = False

    async def run(self, stop: asyncio.Event) -> None:
        """Stay connected until `stop`, then say goodbye."""
        failures = 0
        while not stop.is_set():
            began_s = time.monotonic()
            try:
                await self._converse(stop)
                failures = 0
                continue
            except LinkLostError as error:
                failures = 1 if time.monotonic() - began_s > STEADY_S else failures + 1
                log.log(logging.WARNING if failures == 1 else logging.DEBUG, "%s", error)
                pause_s = wait_s(loss_of(error.reason_code), failures, random.random(), self._keepalive_s)  # noqa: S311 - spreads load
            with anyio.move_on_after(pause_s):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._cancel_when, self._is_outdated, tasks.cancel_scope)
                    await self._cancel_when(stop, tasks.cancel_scope)

    @property
    def is_connected(self) -> bool:
        """Tell whether there is a link."""
        return self._connection is not None

    def reconnect(self) -> None:
        """Connect anew, to be known by the newest certificate; what is not acknowledged by then is sent again."""
        self._is_outdated.set()

    async def deliver(self, leaf: str, payload: bytes) -> int | None:
        """Send what is kept elsewhere until it arrived; return the broker's reason code, None without a link."""
        if self._connection is None:
            return None
        try:
            return await self._connection.publish(of_device(self._device, leaf), payload, qos=1, retain=False)
        except LinkLostError:
            return None

    def move(self, keepalive_s: float) -> None:
        """Connect anew, because the broker's address has changed; count waits in `keepalive_s` from now on."""
        self._keepalive_s, self._is_moving = keepalive_s, True
        self.reconnect()

    def doubt(self) -> None:
        """Hold the link for unproven until the broker has acknowledged another report."""
        self._speaker.has_acknowledged = False
        self._reporter.is_report_due = True
        self._reporter.wake.set()

    @property
    def is_proven(self) -> bool:
        """Say whether both ways of the present connection are known to work since it was doubted last."""
        is_held = self._connection is not None and not self._is_outdated.is_set()
        return is_held and self._speaker.has_acknowledged and self._has_brought_wish

    async def send_now(self, leaf: str, payload: bytes) -> bool:
        """Send what is worthless later; return False when there is no link."""
        if self._connection is None:
            return False
        try:
            await self._connection.publish(of_device(self._device, leaf), payload, qos=0, retain=False)
        except LinkLostError:
            return False
        return True

    async def _converse(self, stop: asyncio.Event) -> None:
        birth_topic = of_device(self._device, "birth")
        self._is_outdated.clear()
        self._has_brought_wish = self._is_moving = False
        async with AsyncExitStack() as stack:
            with self.promise.within(EXCHANGE_S):
                connection = await stack.enter_async_context(self._broker.connect(birth_topic, self._reporter.birth(is_online=False)))
            await self._speaker.greet(connection)
            self._tell_of_return()
            self._connection = connection
            try:
                refused = await connection.subscribe(*self._filters)
                await self._until_lost_or(
                    stop, self._speaker.speak(connection), self._receive(connection), self._ask_again(connection, refused)
                )
            finally:
                self._connection = None
                self._speaker.lose()
                # A connection that is quiet is not silent: until now the broker answered its pings.
                self.last_contact_at = utc_now()
                self._lost_at_s = None if self._is_outdated.is_set() else time.monotonic()
            if stop.is_set() or self._is_moving:
                await connection.publish(birth_topic, self._reporter.birth(is_online=False), qos=1, retain=True)

    async def _until_lost_or(self, stop: asyncio.Event, *talks: Awaitable[None]) -> None:
        losses: list[LinkLostError] = []

        async def talk(work: Awaitable[None]) -> None:
            try:
                await work
            except LinkLostError as error:
                losses.append(error)
                tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            for work in talks:
                tasks.start_soon(talk, work)
            tasks.start_soon(self._cancel_when, self._is_outdated, tasks.cancel_scope)
            await self._cancel_when(stop, tasks.cancel_scope)
        if losses:
            raise losses.pop()  # kept in a list of this frame, it would keep the connection until it is collected

    async def _cancel_when(self, event: asyncio.Event, scope: anyio.CancelScope) -> None:
        await event.wait()
        scope.cancel()

    async def _publish(self, connection: Connection, leaf: str, payload: bytes, is_retained: bool) -> int:
        with self.promise.within(EXCHANGE_S):
            reason = await connection.publish(of_device(self._device, leaf), payload, qos=1, retain=is_retained)
        self.last_contact_at = utc_now()
        return reason

    async def _ask_again(self, connection: Connection, refused: dict[str, int]) -> None:
        """Ask again for topics that are refused for now."""
        for each, reason in refused.items():
            self._reporter.event("link", "error", f"the broker refuses to send {each}: {words(reason)}")
        patience = Audience()
        while missing := [each for each, reason in refused.items() if fate_of(reason) is Fate.LATER]:
            patience = patience.after(False, time.monotonic(), random.random())  # noqa: S311 - spreads load
            await asyncio.sleep(patience.silence_s(time.monotonic()))
            with self.promise.within(EXCHANGE_S):
                refused = await connection.subscribe(*missing)

    async def _receive(self, connection: Connection) -> None:
        while True:
            messages = await connection.receive()
            self.last_contact_at = utc_now()
            with self.promise.within(EXCHANGE_S):
                for topic, payload in messages:
                    self._has_brought_wish |= topic == self._wish_topic
                    await self._on_message(topic, payload)

    def _tell_of_return(self) -> None:
        if self._lost_at_s is not None:
            offline_s = time.monotonic() - self._lost_at_s
            facts = {"offline_s": f"{offline_s:.1f}", **self._reporter.take_dropped()}
            self._reporter.event("link", "info", f"the broker is back after {offline_s:.0f} s", facts=facts)
