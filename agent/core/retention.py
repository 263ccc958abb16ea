"""Decides which releases that no slot names stay on the disk for a while, and which go."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Held:
    """A release that lies unpacked; its bytes count in full, also those of files that another one shares with it."""

    digest: str
    model: str
    release: int
    bytes: int


@dataclass(frozen=True)
class Serving:
    """What one model's slots name: the committed counter, and whether a previous release stands behind it."""

    release: int
    has_previous: bool


@dataclass(frozen=True)
class Retention:
    """How many releases before the current one stay for each model, the previous one counted in, and in how many bytes of all.

    Whatever a slot names stays in any case. 0 bytes are no limit.
    """

    earlier_releases: int = 1
    max_bytes: int = 0


def surplus(spare: Iterable[Held], slots_bytes: int, serving: Mapping[str, Serving], policy: Retention) -> tuple[str, ...]:
    """Return which of the releases that no slot names go; `slots_bytes` are taken by those that one does.

    A release that follows the committed one was tried and found wanting: it goes. A model of which nothing is known keeps its newest ones.
    """
    by_model: dict[str, list[Held]] = defaultdict(list)
    for held in spare:
        by_model[held.model].append(held)
    kept: list[tuple[int, Held]] = []
    gone: list[str] = []
    for model, releases in by_model.items():
        known = serving.get(model)
        room = policy.earlier_releases - (1 if known is not None and known.has_previous else 0)
        rank = 0
        for held in sorted(releases, key=lambda each: each.release, reverse=True):
            if rank < room and (known is None or held.release < known.release):
                kept.append((rank, held))
                rank += 1
            else:
                gone.append(held.digest)
    total = slots_bytes + sum(held.bytes for _, held in kept)
    # Of all models the one that is furthest behind goes first.
    for _, held in sorted(kept, key=lambda ranked: (ranked[0], ranked[1].bytes), reverse=True):
        if not policy.max_bytes or total <= policy.max_bytes:
            break
        total -= held.bytes
        gone.append(held.digest)
    return tuple(gone)
