"""This worker's part in a shadow: as the one that serves it shows its answers, as a candidate it gives its own to be compared."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from agent.worker.engine import Engine
from agent.worker.mirror import Mirror
from agent.worker.model import Model
from agent.worker.shadowing import Shadowing
from agent.worker_link import Compared, Reflect, Rest, Shadow, WorkerSetup


class Company:
    """Nobody, at first."""

    def __init__(self, setup: WorkerSetup, engine: Engine, tell: Callable[[Compared], Awaitable[None]]) -> None:
        """Work in `engine`, and tell the control process by `tell`."""
        self._setup = setup
        self._engine = engine
        self._tell = tell
        self._mirror: Mirror | None = None
        self._shadowing: Shadowing | None = None
        self._in_shadow = anyio.CancelScope()

    def heed(self, order: Reflect | Rest) -> None:
        """Show answers to another candidate, or rest as one."""
        if isinstance(order, Rest):
            if self._shadowing is not None:
                self._shadowing.is_resting = order.is_resting
        elif self._mirror is not None:
            self._mirror.point(order.socket, order.share)

    async def shadow(self, model: Model, order: Shadow) -> None:
        """Be a candidate until it comes to serve; once only."""
        if self._shadowing is not None or self._mirror is not None:
            return
        self._shadowing = Shadowing(model, self._engine, order.socket, order.max_cpu_share)
        with self._in_shadow:
            await self._shadowing.run(self._setup.window_s, self._tell)

    def come_to_serve(self, model: Model) -> Mirror:
        """Be a candidate no more, and return what shows answers from now on."""
        self._in_shadow.cancel()
        self._mirror = Mirror(model, self._setup.release_dir, self._setup.target)
        return self._mirror
