"""Decides whether a release on probation has shown itself fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MAX_ERROR_SHARE = 0.5
# Fewer requests than this say nothing about a share.
MIN_REQUESTS = 20


@dataclass(frozen=True)
class Watch:
    """What was seen of the worker since it took over."""

    elapsed_s: float
    is_alive: bool
    requests: int
    errors: int


def verdict(watch: Watch, probation_s: float) -> Literal["fit", "unfit", "wait"]:
    """Return `fit` only for a worker that is alive at the end; crashes are counted elsewhere."""
    if watch.requests >= MIN_REQUESTS and watch.errors > watch.requests * MAX_ERROR_SHARE:
        return "unfit"
    return "fit" if watch.is_alive and watch.elapsed_s >= probation_s else "wait"
