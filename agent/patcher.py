"""The patcher process: makes one file of another and a delta that anybody may have written, within limits of memory and time."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

from agent import asked
from agent.core.patching import PatchOrder
from contracts import codec
from contracts.delta.apply import apply
from contracts.errors import ContractError

MAX_ORDER_BYTES = 64 * 1024
# What the interpreter and numpy take, and what a delta may: its format needs a tenth of it.
MAX_MEMORY_BYTES = 384 << 20
MAX_CPU_S = 600
NICE = 10


def patch(order: PatchOrder) -> None:
    """Carry out an order; raise a ContractError or OSError."""
    with Path(order.base).open("rb") as base, Path(order.delta).open("rb") as delta, Path(order.target).open("w+b") as target:
        apply(base, delta, target, order.sha256, order.bytes)


def main() -> int:
    """Take one order from stdin; say why not on stdout, with exit status 1."""
    order = codec.decode(PatchOrder, asked.question(MAX_ORDER_BYTES), name="order", max_bytes=MAX_ORDER_BYTES)
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_S, MAX_CPU_S))
    resource.setrlimit(resource.RLIMIT_FSIZE, (order.bytes, order.bytes))
    os.nice(NICE)
    try:
        patch(order)
    except (ContractError, OSError) as error:
        sys.stdout.write(str(error))
        return 1
    except MemoryError:
        sys.stdout.write(f"expected a delta that needs at most {MAX_MEMORY_BYTES} bytes of memory, found one that needs more")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
