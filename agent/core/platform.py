"""Decides what of a device a computation depends on, and what changed between two looks at it."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel


class Platform(BaseModel, frozen=True, extra="ignore"):
    """Everything below a release that may change its outputs, by name, such as `kernel` or `tensorrt`; what a device lacks is left out."""

    facts: Mapping[str, str] = {}

    def changes_since(self, before: Platform) -> str:
        """Name what differs, such as `kernel 6.1 -> 6.6`; empty when nothing does."""
        names = sorted({*self.facts, *before.facts})
        pairs = ((name, before.facts.get(name, "none"), self.facts.get(name, "none")) for name in names)
        return ", ".join(f"{name} {old} -> {new}" for name, old, new in pairs if old != new)

    def of(self, *names: str) -> dict[str, str]:
        """Return some of the facts."""
        return {name: self.facts[name] for name in names if name in self.facts}
