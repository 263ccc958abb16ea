"""Binds this process before a runtime is loaded, so that it goes before the control process when memory runs out; tells what it takes."""

from __future__ import annotations

import resource
from contextlib import suppress
from pathlib import Path

MEMORY = Path("/proc/self/statm")
OOM_SCORE = Path("/proc/self/oom_score_adj")
# Of 1000; the control process has 0.
GOES_FIRST = "500"
# Callers, cameras and a runtime's files.
MAX_FILES = 1024


def bind(data_bytes: int | None) -> None:
    """Take limits upon this process; the kernel refuses an allocation beyond `data_bytes`, and the call that wanted it fails.

    Address space is no measure: runtimes and drivers reserve and map much more than they touch.
    """
    # A core dump of a model fills a card, and shows callers' data to whoever takes the card.
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, MAX_FILES)
    if data_bytes is not None:
        _limit(resource.RLIMIT_DATA, data_bytes)
    with suppress(OSError):  # a container may hide it; whom the kernel ends then is its own choice
        OOM_SCORE.write_text(GOES_FIRST)


def resident_bytes() -> int:
    """Return how much memory is in use."""
    return int(MEMORY.read_text().split()[1]) * resource.getpagesize()


def resident_bytes_of(pid: int) -> int | None:
    """Return how much memory another process of ours uses; None when it has gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, IndexError):
        return None


def _limit(which: int, wanted: int) -> None:
    hard = resource.getrlimit(which)[1]
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(which, (allowed, allowed))
