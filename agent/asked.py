"""Reads what a short-lived process of the agent is asked on its standard input; ends without a word where nobody asks any more."""

from __future__ import annotations

import signal
import sys


def question(max_bytes: int) -> bytes:
    """Return the question, or a byte more than it may have; from now on an asker who has gone ends this process without a word."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    raw = sys.stdin.buffer.read(max_bytes + 1)
    if not raw:
        sys.exit(1)  # the agent died before it had asked
    return raw
