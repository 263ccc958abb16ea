"""The routes that balancers and whoever keeps the server alive ask, without a token; they answer whatever else hangs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from http import HTTPStatus

import anyio
from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, HTTPException

from fleet.errors.store import StoreError
from fleet.north.ports import Services

# A database that takes longer is away; who asks has not much patience either.
PROBE_S = 2.0

log = logging.getLogger("fleet.health")


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["server"])
    readiness = _Readiness(services.probe)

    @routes.get("/healthz")
    async def get_health_of_server() -> dict[str, str]:
        """Say that the server lives."""
        return {"status": "ok"}

    @routes.get("/readyz")
    async def get_readiness_of_server() -> dict[str, str]:
        """Say to a balancer in front whether requests belong here now."""
        if not await readiness.look():
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "the database does not answer")
        return {"status": "ok"}

    return routes


class _Readiness:
    """Asks the database in a thread of its own, for the others may all wait for it; a probe that hangs is left, and holds up the next."""

    def __init__(self, probe: Callable[[], None]) -> None:
        self._probe = probe
        self._thread = CapacityLimiter(1)
        self._was_ready = True

    async def look(self) -> bool:
        reason = await self._reason()
        if self._was_ready is bool(reason):
            log.warning("not ready: %s", reason) if reason else log.warning("ready again")
        self._was_ready = not reason
        return not reason

    async def _reason(self) -> str:
        """Return why the server is not ready, nothing when it is."""
        try:
            with anyio.fail_after(PROBE_S):
                await to_thread.run_sync(self._probe, limiter=self._thread, abandon_on_cancel=True)
        except StoreError as error:
            return str(error)
        except TimeoutError:
            return f"the database has not answered for {PROBE_S:g} s"
        return ""
