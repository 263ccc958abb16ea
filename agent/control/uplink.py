"""Keeps the connection to the broker alive, sends what waits, and hands on what arrives."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import datetime

import anyio

from agent.control.ports.commands import Delivered
from agent.control.ports.link import Broker, Connection
from agent.control.promise import Promise
from agent.control.reporter import Reporter, facts_of, utc_now
from agent.core.audience import Audience
from agent.core.drawers import Letter
from agent.core.reconnect import loss_of, wait_s
from agent.core.said import Said
from agent.errors import LinkLostError
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
        # The broker has acknowledged a report since this was doubted last.
        self._has_acknowledged = False
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
        self._said = said or Said()
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

    async def deliver(self, leaf: str, payload: bytes) -> Delivered:
        """Send what is kept elsewhere until it arrived; say whether it did."""
        if self._connection is None:
            return Delivered.NO_LINK
        try:
            is_taken = await self._connection.publish(of_device(self._device, leaf), payload, qos=1, retain=False)
        except LinkLostError:
            return Delivered.NO_LINK
        return Delivered.TAKEN if is_taken else Delivered.NOBODY

    def move(self, keepalive_s: float) -> None:
        """Connect anew, because the broker's address has changed; count waits in `keepalive_s` from now on."""
        self._keepalive_s, self._is_moving = keepalive_s, True
        self.reconnect()

    def doubt(self) -> None:
        """Hold the link for unproven until the broker has acknowledged another report."""
        self._has_acknowledged = False
        self._reporter.is_report_due = True
        self._reporter.wake.set()

    @property
    def is_proven(self) -> bool:
        """Say whether both ways of the present connection are known to work since it was doubted last."""
        is_held = self._connection is not None and not self._is_outdated.is_set()
        return is_held and self._has_acknowledged and self._has_brought_wish

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
        self._has_acknowledged = self._has_brought_wish = self._is_moving = False
        async with AsyncExitStack() as stack:
            with self.promise.within(EXCHANGE_S):
                connection = await stack.enter_async_context(self._broker.connect(birth_topic, self._reporter.birth(is_online=False)))
            await connection.publish(birth_topic, self._reporter.birth(is_online=True), qos=1, retain=True)
            self._reporter.is_report_due = True
            self._tell_of_return()
            self._connection = connection
            try:
                await connection.subscribe(*self._filters)
                await self._until_lost_or(stop, self._send(connection), self._receive(connection))
            finally:
                self._connection = None
                self._said.lose(anyio.current_time())
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

    async def _send(self, connection: Connection) -> None:
        audience = Audience()
        while True:
            self._reporter.wake.clear()
            if self._reporter.is_report_due:
                self._reporter.is_report_due = False
                await self._publish(connection, "reported", self._reporter.reported(), retain=True)
                self._has_acknowledged = True
            silence_s = audience.silence_s(time.monotonic())
            letter = None if silence_s else self._next_letter()
            if letter is not None:
                audience = await self._say(connection, letter, audience)
            elif not self._reporter.is_report_due:
                if not silence_s:
                    self._reporter.tell_dropped()
                with anyio.move_on_after(silence_s or None):
                    await self._reporter.wake.wait()

    def _next_letter(self) -> Letter | None:
        outbox, owed = self._reporter.outbox, self._said.first_owed()
        if owed is not None:
            return owed
        while (letter := outbox.first()) is not None and self._said.is_known_from_before(letter):
            outbox.remove(letter)
        return letter

    async def _say(self, connection: Connection, letter: Letter, audience: Audience) -> Audience:
        """Say it; it is kept for later when nobody takes it."""
        is_taken = await self._publish(connection, letter.leaf, letter.payload, retain=False)
        if is_taken:
            self._said.add(letter, anyio.current_time())
            self._reporter.outbox.remove(letter)
        if is_taken is bool(audience.absences):
            log.info("there is %s who takes what this device says", "somebody" if is_taken else "nobody")
        return audience.after(is_taken, time.monotonic(), random.random())  # noqa: S311 - spreads load

    async def _publish(self, connection: Connection, leaf: str, payload: bytes, *, retain: bool) -> bool:
        with self.promise.within(EXCHANGE_S):
            is_taken = await connection.publish(of_device(self._device, leaf), payload, qos=1, retain=retain)
        self.last_contact_at = utc_now()
        return is_taken

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
            dropped = self._reporter.outbox.dropped
            facts = {"offline_s": f"{offline_s:.1f}", **facts_of(dropped)}
            self._reporter.event("link", "info", f"the broker is back after {offline_s:.0f} s", facts=facts)
            self._reporter.outbox.told(dropped)
