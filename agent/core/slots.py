"""Decides which unpacked releases a device keeps."""

from __future__ import annotations

from collections.abc import Iterable
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


def to_keep(slots: Iterable[Slots]) -> frozenset[str]:
    """Return the releases that some model still names; every other one may go."""
    return frozenset(digest for each in slots for digest in each.named().values() if digest is not None)
