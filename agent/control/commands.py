"""Carries genuine commands out, one of a kind at a time and each within its time, and has each answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup

from agent.control.answers import Answers
from agent.control.command_gate import CommandGate
from agent.errors import AgentError, RefusedCommandError
from contracts.commands import Command, Findings, Kind, Order

Work = Callable[[Order], Awaitable[Findings]]


@dataclass(frozen=True)
class Deed:
    """How a kind of command is carried out, and how long that may take."""

    work: Work
    deadline_s: float


class Commands:
    """What people may ask of the device beside its work."""

    def __init__(self, gate: CommandGate, deeds: Mapping[Kind, Deed], answers: Answers) -> None:
        """Obey what passes `gate`, by `deeds`, and answer by `answers`."""
        self._gate = gate
        self._deeds = deeds
        self._answers = answers
        self._busy: set[Kind] = set()

    def hear(self, topic: str, raw: bytes) -> bool:
        """Take a message from the broker; say whether it was a command's."""
        return self._gate.hear(topic, raw)

    async def run(self) -> None:
        """Obey, for ever."""
        await self._answers.take_up()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._answers.run)
            while True:
                await self._begin(tasks, await self._gate.next())

    async def _begin(self, tasks: TaskGroup, command: Command) -> None:
        kind = command.order.kind
        if kind in self._busy:
            await self._answers.end(command, "refused", f"{kind}: expected none under way, found one; wait for its end")
            return
        self._busy.add(kind)
        await self._answers.begin(command)
        tasks.start_soon(self._carry_out, command)

    async def _carry_out(self, command: Command) -> None:
        order, end = command.order, self._answers.end
        deed = self._deeds[order.kind]
        try:
            with anyio.fail_after(deed.deadline_s):
                findings = await deed.work(order)
        except RefusedCommandError as error:
            await end(command, "refused", str(error))
        except AgentError as error:
            await end(command, "failed", str(error))
        except TimeoutError:
            await end(command, "failed", f"{order.kind}: expected it to end within {deed.deadline_s:g} s, found it still under way")
        else:
            await end(command, "ok", findings=findings)
        finally:
            self._busy.discard(order.kind)
