"""Keeps a candidate in shadow: has the serving worker show it its answers, restarts it when it crashes, rests it when it is hot."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import anyio

from agent.control.ports.machine import Thermometer
from agent.control.supervisor import Supervisor
from agent.control.worker import Worker
from agent.core.backoff import delay_s
from agent.core.shadowing import is_too_hot
from agent.core.update import MAX_CRASHES
from agent.errors import WorkerError
from agent.worker_link import Reflect, Rest, Shadow
from contracts.messages import ReleaseRef
from contracts.shadow import ShadowTerms

LOOK_S = 1.0
FIRST_RESTART_S, LONGEST_RESTART_S = 0.5, 30.0

Start = Callable[[ReleaseRef], Awaitable[None]]


class Shadowing:
    """One candidate's time in shadow; it is the fleet's word that ends it."""

    def __init__(self, supervisor: Supervisor, thermometer: Thermometer, socket: str, terms: ShadowTerms) -> None:
        """Have the supervisor's serving worker and its candidate meet at `socket`."""
        self._supervisor = supervisor
        self._thermometer = thermometer
        self._socket = socket
        self._terms = terms
        # Who was told already.
        self._shown: Worker | None = None
        self._told: Worker | None = None
        self._is_resting = False

    async def run(self, release: ReleaseRef, start: Start) -> None:
        """Go on until cancelled; raise WorkerError when the candidate crashes too often, AgentError when it cannot be started again."""
        crashes = 0
        self._supervisor.is_shadowing = True
        try:
            while True:
                candidate = self._supervisor.candidate
                if candidate is None or candidate.has_ended:
                    crashes += 1
                    reason = "it is gone" if candidate is None else candidate.end_reason
                    if crashes >= MAX_CRASHES:
                        raise WorkerError(f"{crashes} crashes in shadow, the last: {reason}")
                    await asyncio.sleep(delay_s(crashes, 1.0, first_s=FIRST_RESTART_S, longest_s=LONGEST_RESTART_S))
                    await start(release)
                else:
                    await self._look_after(candidate)
                    await asyncio.sleep(LOOK_S)
        finally:
            self._supervisor.is_shadowing = False
            await self._part()

    async def _look_after(self, candidate: Worker) -> None:
        """Tell both workers what they have not been told, and feel how warm the device is."""
        try:
            if candidate is not self._told:
                await candidate.say(Shadow(socket=self._socket, max_cpu_share=self._terms.max_cpu_share))
                self._told, self._is_resting = candidate, False
            is_resting = is_too_hot(await self._thermometer.heat(), self._terms, is_resting=self._is_resting)
            if is_resting is not self._is_resting:
                await candidate.say(Rest(is_resting=is_resting))
                self._is_resting = is_resting
        except WorkerError:
            return  # it is on its way out, and counted when it has ended
        await self._show()

    async def _show(self) -> None:
        serving = self._supervisor.serving
        if serving is None or serving is self._shown or serving.has_ended:
            return
        try:
            await serving.say(Reflect(socket=self._socket, share=self._terms.share))
        except WorkerError:
            return  # its successor is told
        self._shown = serving

    async def _part(self) -> None:
        """Have who serves show nothing any more; a send to a healthy worker takes no time, and another one is told nothing new."""
        serving = self._supervisor.serving
        if serving is None or serving is not self._shown or serving.has_ended:
            return
        with anyio.CancelScope(shield=True), contextlib.suppress(WorkerError):
            await serving.say(Reflect())
