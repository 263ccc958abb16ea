"""Answers commands: keeps each answer until the fleet has it, over a restart too, and owns up to what the agent died over."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import anyio

from agent.control.ports.commands import CommandRecords, Voice
from agent.control.reporter import Reporter
from agent.core.audience import Audience
from agent.core.command_record import CommandRecord
from agent.core.waiting_results import Result, WaitingResults
from agent.errors import StateError
from contracts.commands import Command, Findings, Order, Picture, State
from contracts.mqtt_reasons import Fate, fate_of, words
from contracts.topics import result_leaf

SEND_AGAIN_S = 2.0
# An answer that found no link for so long is of no use to anybody: the audit's event still tells how it went.
MAX_RESULT_AGE_S = 3600.0
MAX_REASON_LETTERS = 1000
INTERRUPTED = "the agent ended while it was under way; whether it was carried out is not known"

log = logging.getLogger(__name__)


class Answers:
    """Results on their way."""

    def __init__(self, records: CommandRecords, reporter: Reporter, voice: Voice, now: Callable[[], datetime]) -> None:
        """Keep them in `records`, and send them by `voice`; `now` is never behind the newest signed time."""
        self._records = records
        self._reporter = reporter
        self._voice = voice
        self._now = now
        self._waiting = WaitingResults()
        self._news = anyio.Event()

    async def begin(self, command: Command) -> None:
        """Say that a command is under way; from now on the agent cannot die over it without a word."""
        await self._keep(CommandRecord(command=command, until=self._until()))
        await self._put(command, "running", "", None)

    async def end(self, command: Command, state: State, reason: str = "", findings: Findings | None = None) -> None:
        """Note on the device who asked for what and how it went, and answer."""
        self._audit(command, state, reason)
        payload = await self._put(command, state, reason, findings)
        if not isinstance(findings, Picture):
            await self._keep(CommandRecord(command=command, until=self._until(), result=payload.decode()))

    async def take_up(self) -> None:
        """Take up what the process before left; before anything is begun."""
        try:
            records = await anyio.to_thread.run_sync(self._records.load)
        except StateError as error:
            log.error("%s; what was asked before is not answered", error)
            return
        for record in records:
            left_s = min((record.until - self._now()).total_seconds(), MAX_RESULT_AGE_S)
            if left_s <= 0:
                await self._forget(record.command.id)
            elif record.result is None:
                await self.end(record.command, "failed", INTERRUPTED)
            else:
                await self._queue(Result(record.command.id, record.result.encode(), time.monotonic() + left_s, is_final=True))

    async def run(self) -> None:
        """Send whatever waits, for ever."""
        audience = Audience()
        while True:
            for gone in self._waiting.give_up(time.monotonic()):
                await self._drop(gone)
            first = self._waiting.first()
            if first is None:
                self._news = anyio.Event()
                await self._news.wait()
                continue
            reason = await self._voice.deliver(result_leaf(first.command), first.payload)
            if reason is None:
                await anyio.sleep(SEND_AGAIN_S)
                continue
            fate = fate_of(reason)
            if fate in (Fate.TAKEN, Fate.NEVER):
                audience = Audience()
                self._waiting.remove(first)
                await self._drop(first)
                if fate is Fate.NEVER:
                    await self._own_up(first, words(reason))
            else:
                # A picture is no small thing to send for nothing again and again.
                audience = audience.after(False, time.monotonic(), random.random())  # noqa: S311 - spreads load
                await anyio.sleep(audience.silence_s(time.monotonic()))

    async def _own_up(self, refused: Result, reason: str) -> None:
        """Send in a refused answer's place that there is none; a refusal of that is only logged."""
        log.warning("command %s: the broker refuses its answer of %d bytes for good: %s", refused.command, len(refused.payload), reason)
        if refused.is_final and not refused.is_substitute:
            payload = self._reporter.result(refused.command, "failed", f"the broker refuses the answer: {reason}", None)
            await self._queue(Result(refused.command, payload, refused.until_s, is_final=True, is_substitute=True))

    async def _put(self, command: Command, state: State, reason: str, findings: Findings | None) -> bytes:
        payload = self._reporter.result(command.id, state, reason[:MAX_REASON_LETTERS], findings)
        await self._queue(Result(command.id, payload, time.monotonic() + MAX_RESULT_AGE_S, is_final=state != "running"))
        return payload

    async def _queue(self, result: Result) -> None:
        gone = self._waiting.put(result)
        self._news.set()
        for each in gone:
            log.warning("command %s: its answer gives way to newer ones", each.command)
            await self._drop(each)

    def _until(self) -> datetime:
        return self._now() + timedelta(seconds=MAX_RESULT_AGE_S)

    async def _keep(self, record: CommandRecord) -> None:
        try:
            await anyio.to_thread.run_sync(self._records.keep, record)
        except StateError as error:
            log.warning("%s; the answer to %s is in memory only", error, record.command.id)

    async def _drop(self, result: Result) -> None:
        if result.is_final:
            await self._forget(result.command)

    async def _forget(self, command: str) -> None:
        try:
            await anyio.to_thread.run_sync(self._records.drop, command)
        except StateError as error:
            log.warning("%s; the answer to %s may be sent twice", error, command)

    def _audit(self, command: Command, state: State, reason: str) -> None:
        facts = {"command": command.id, "asker": command.asker, "order": command.order.model_dump_json(), "outcome": state}
        text = f"{command.asker} asked for {_words(command.order)}: {state}" + (f", {reason}" if reason else "")
        self._reporter.event("command", "info" if state == "ok" else "warning", text, getattr(command.order, "model", None), facts)


def _words(order: Order) -> str:
    given = order.model_dump(exclude={"kind"})
    return " ".join((order.kind, *(f"{name} {value}" for name, value in given.items())))
