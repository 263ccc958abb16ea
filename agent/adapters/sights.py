"""Touches every camera that agent.toml names to find out whether it shows anything, but for those that a running agent looks through."""

from __future__ import annotations

from datetime import datetime, timedelta

from agent.adapters.status_file import StatusFile
from agent.config import Settings
from agent.core.checkup import Seen
from agent.worker.errors import SourceError
from agent.worker.sources.feed import Feed
from agent.worker.sources.frame import Order
from contracts.messages import SourceHealth
from contracts.source_config import SourceSection

# A stream across a network may take so long to begin.
PROBE_S = 12.0


async def sights(settings: Settings, now: datetime) -> tuple[Seen, ...]:
    """Return what each source shows, one after the other."""
    watched = _watched(settings, now)
    found = []
    for section in settings.config.source:
        source = section.placed(str(settings.state_dir), str(settings.file.parent))
        health = watched.get(source.model)
        found.append(await probe(source) if health is None else _as_told(source, health))
    return tuple(found)


async def probe(source: SourceSection) -> Seen:
    """Look once through a source that nobody else holds."""
    try:
        feed = await Feed.start(Order(source=source))
        try:
            frame = await feed.look(PROBE_S)
        finally:
            await feed.end()
    except SourceError as error:
        return Seen(source.model, source.shown, problem=str(error))
    return Seen(source.model, source.shown, "no picture yet" if frame is None else f"{frame.width}x{frame.height}")


def _watched(settings: Settings, now: datetime) -> dict[str, SourceHealth]:
    """Return what a running agent says of its sources, by model."""
    status = StatusFile(settings.state_dir).read()
    oldest = timedelta(seconds=3 * settings.config.telemetry.health_interval_s + 5)
    if status is None or abs(now - status.written_at) > oldest:
        return {}
    return {model: worker.source for model, worker in status.workers.items() if worker.source is not None}


def _as_told(source: SourceSection, health: SourceHealth) -> Seen:
    if health.state == "stopped":
        return Seen(source.model, source.shown, problem=health.reason)
    return Seen(source.model, source.shown, f"the agent looks through it, {health.state}, {health.frames_per_s:g} frames a second")
