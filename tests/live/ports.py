"""Ports for the servers that tests start: chosen here, bound seconds later by another process, and taken by nobody in between."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from functools import cache
from itertools import cycle, islice

# Below those that the system gives to whoever connects: there any passing connection may have taken a port meanwhile.
FIRST = 12_000
BLOCKS = 100
BLOCK_PORTS = 200


def free_port() -> int:
    """Return a port that nobody listens on now, and that no other test process will be given."""
    _, ports = _claimed()
    for port in islice(ports, BLOCK_PORTS):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("somebody listens on every port of this process")


@cache
def _claimed() -> tuple[socket.socket, Iterator[int]]:
    """Claim a block of ports until this process ends: abstract sockets have names of their own on a machine, until they close."""
    for first in range(FIRST, FIRST + BLOCKS * BLOCK_PORTS, BLOCK_PORTS):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0fieldfare-tests-ports-{first}")
        except OSError:
            claim.close()
        else:
            return claim, cycle(range(first, first + BLOCK_PORTS))
    raise AssertionError("other processes have claimed every block of ports")
