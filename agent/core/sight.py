"""Decides what the fleet is told of a model's camera, so that one that stops is told once, and once more when it is back."""

from __future__ import annotations

from dataclasses import dataclass

from agent.core.alarm import Alarm
from contracts.messages import SourceHealth, SourceState


@dataclass(frozen=True)
class Sight:
    """What was told last of one model; a worker that is replaced meanwhile changes nothing about it."""

    told: SourceState = "live"

    def seen(self, health: SourceHealth | None) -> tuple[Sight, Alarm | None]:
        """Take how a source is, and return what to tell."""
        if health is None or health.state in ("opening", self.told):
            return self, None
        sight = Sight(health.state)
        match health.state:
            case "stopped":
                return sight, Alarm("error", "blind", f"has lost its pictures: {health.source}: {health.reason}")
            case "frozen":
                return sight, Alarm("warning", "frozen", f"sees a picture that stands still: {health.source}: {health.reason}")
            case _:
                return sight, Alarm("info", "sees", f"sees again: {health.source}")
