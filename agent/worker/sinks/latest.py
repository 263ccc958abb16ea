"""Shows callers the newest result of the pictures that a model looks at by itself."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import BaseModel

from agent.worker.http import Response
from agent.worker.sinks.result import Result
from contracts.messages import SourceHealth


class Page(BaseModel, frozen=True):
    """GET /v2/models/{name}/latest, which the Open Inference Protocol does not know: the newest result, and how its source is."""

    source: SourceHealth
    result: Result


class Latest:
    """One result, replaced by the next."""

    def __init__(self, health: Callable[[], SourceHealth]) -> None:
        """Show how the source is beside the result."""
        self._health = health
        self._result: Result | None = None

    def show(self, result: Result) -> None:
        """Replace the one before."""
        self._result = result

    def page(self) -> Response:
        """Return the page, 404 before there is a result."""
        health = self._health()
        if self._result is None:
            why = ": ".join(filter(None, (health.state, health.reason)))
            return Response.error(404, f"latest: expected a result of {health.source}, found none yet ({why})")
        return Response.of(Page(source=health, result=self._result))
