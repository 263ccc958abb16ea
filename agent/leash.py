"""Ties this process to the one that started it: the kernel kills it as soon as that one ends, in whatever way.

`setpriv --pdeathsig` does so from outside, but first asks for its capabilities, which the service's filter of system calls refuses.
"""

from __future__ import annotations

import ctypes
import signal

PR_SET_PDEATHSIG = 1


def leash() -> None:
    """Be killed when the thread that started this process ends; the very first thing that a process does."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
