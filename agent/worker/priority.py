"""Touches this process's priority: a worker that only prepares leaves the cores to those that serve."""

from __future__ import annotations

import os
import resource
from pathlib import Path

# Beside a process of common priority it gets about a tenth of a core, and all of one that is idle.
WAITING = 10
# What the kernel's limit counts from: 20 lets a process come back to a niceness of 0.
LIMIT_BASE = 20
CAP_SYS_NICE = 23
# What the first user namespace says of its users. In another one, such as a rootless container, the capability counts for nothing here.
ALL_USERS = ["0", "0", "4294967295"]


def step_back() -> None:
    """Take the priority of work that can wait, provided that we may come forward again; the threads to come inherit it."""
    if _may_return_to(os.getpriority(os.PRIO_PROCESS, 0)):
        os.nice(WAITING)


def come_forward() -> None:
    """Give every thread the priority back that `step_back` took."""
    own = os.getpriority(os.PRIO_PROCESS, 0)
    if own < WAITING or not _may_return_to(own - WAITING):
        return
    for thread in Path("/proc/self/task").iterdir():
        os.setpriority(os.PRIO_PROCESS, int(thread.name), own - WAITING)


def _may_return_to(niceness: int) -> bool:
    soft, _ = resource.getrlimit(resource.RLIMIT_NICE)
    return soft >= LIMIT_BASE - niceness or _has_capability(CAP_SYS_NICE)


def _has_capability(bit: int) -> bool:
    if Path("/proc/self/uid_map").read_text().split() != ALL_USERS:
        return False
    status = Path("/proc/self/status").read_text()
    held = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(held, 16) >> bit & 1)
