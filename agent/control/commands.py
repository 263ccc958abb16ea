"""Carries genuine commands out, one of a kind at a time and each within its time; notes who asked for what and how it went, and answers."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup

from agent.control.command_gate import CommandGate
from agent.control.ports.commands import Voice
from agent.control.reporter import Reporter
from agent.core.waiting_results import WaitingResults
from agent.errors import AgentError, RefusedCommandError
from contracts.commands import Command, Findings, Kind, Order, State
from contracts.topics import result_leaf

SEND_AGAIN_S = 2.0
# An answer that found no link for so long is of no use to anybody: the audit's event still tells how it went.
MAX_RESULT_AGE_S = 3600.0
MAX_REASON_LETTERS = 1000

log = logging.getLogger(__name__)

Work = Callable[[Order], Awaitable[Findings]]


@dataclass(frozen=True)
class Deed:
    """How a kind of command is carried out, and how long that may take."""

    work: Work
    deadline_s: float


class Commands:
    """What people may ask of the device beside its work."""

    def __init__(self, gate: CommandGate, deeds: Mapping[Kind, Deed], reporter: Reporter, voice: Voice) -> None:
        """Obey what passes `gate`, by `deeds`, and answer by `voice`."""
        self._gate = gate
        self._deeds = deeds
        self._reporter = reporter
        self._voice = voice
        self._busy: set[Kind] = set()
        self._results = WaitingResults()
        self._news = anyio.Event()

    def hear(self, topic: str, raw: bytes) -> bool:
        """Take a message from the broker; say whether it was a command's."""
        return self._gate.hear(topic, raw)

    async def run(self) -> None:
        """Obey, for ever."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._answer)
            while True:
                self._begin(tasks, await self._gate.next())

    def _begin(self, tasks: TaskGroup, command: Command) -> None:
        kind = command.order.kind
        if kind in self._busy:
            self._close(command, "refused", f"{kind}: expected none under way, found one; wait for its end")
            return
        self._busy.add(kind)
        self._say(command, "running")
        tasks.start_soon(self._carry_out, command)

    async def _carry_out(self, command: Command) -> None:
        order = command.order
        deed = self._deeds[order.kind]
        try:
            with anyio.fail_after(deed.deadline_s):
                findings = await deed.work(order)
        except RefusedCommandError as error:
            self._close(command, "refused", str(error))
        except AgentError as error:
            self._close(command, "failed", str(error))
        except TimeoutError:
            self._close(command, "failed", f"{order.kind}: expected it to end within {deed.deadline_s:g} s, found it still under way")
        else:
            self._close(command, "ok", findings=findings)
        finally:
            self._busy.discard(order.kind)

    def _close(self, command: Command, state: State, reason: str = "", findings: Findings | None = None) -> None:
        """Note on the device who asked for what and how it went, and answer."""
        facts = {"command": command.id, "asker": command.asker, "order": command.order.model_dump_json(), "outcome": state}
        text = f"{command.asker} asked for {_words(command.order)}: {state}" + (f", {reason}" if reason else "")
        self._reporter.event("command", "info" if state == "ok" else "warning", text, getattr(command.order, "model", None), facts)
        self._say(command, state, reason, findings)

    def _say(self, command: Command, state: State, reason: str = "", findings: Findings | None = None) -> None:
        raw = self._reporter.result(command.id, state, reason[:MAX_REASON_LETTERS], findings)
        self._results.put(result_leaf(command.id), raw, time.monotonic() + MAX_RESULT_AGE_S)
        self._news.set()

    async def _answer(self) -> None:
        while True:
            first = self._results.first(time.monotonic())
            if first is None:
                self._news = anyio.Event()
                await self._news.wait()
            elif await self._voice.deliver(first.leaf, first.payload):
                self._results.remove(first)
            else:
                await anyio.sleep(SEND_AGAIN_S)


def _words(order: Order) -> str:
    given = order.model_dump(exclude={"kind"})
    return " ".join((order.kind, *(f"{name} {value}" for name, value in given.items())))
