"""Decides what a model's links on the disk say."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Slots:
    """A model's links, each naming a release by its manifest digest."""

    current: str | None = None
    previous: str | None = None
    candidate: str | None = None

    def named(self) -> dict[str, str | None]:
        """Return every link's name with its release."""
        return {"current": self.current, "previous": self.previous, "candidate": self.candidate}
