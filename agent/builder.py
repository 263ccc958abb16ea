"""Builds a release's engine for this very device, in a process of its own: `python -m agent.builder '<order as JSON>'`.

Its last line on standard output says what will run the model; what the runtime tells meanwhile goes to standard error.
"""

from __future__ import annotations

import sys
from pathlib import Path

from agent.core.engines import BuildOrder, Built
from agent.leash import leash
from agent.worker.preparation import Order, load_warm
from contracts import codec
from contracts.errors import FieldfareError

MAX_ORDER_BYTES = 64 * 1024


def build(order: BuildOrder) -> Built:
    """Load the model as a worker will, with an empty place for engines; its first calls build those that loading did not."""
    model = load_warm(Order(order.model, Path(order.release_dir), order.target, 1, order.runtime, Path(order.into))).model
    return Built(provider=model.runtime.provider)


def main() -> int:
    """Build once; statuses: 0 built, otherwise that of the error."""
    try:
        raw = sys.argv[1].encode() if len(sys.argv) == 2 else b""
        built = build(codec.decode(BuildOrder, raw, name="order", max_bytes=MAX_ORDER_BYTES))
    except FieldfareError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_status
    sys.stdout.write(built.model_dump_json() + "\n")
    return 0


if __name__ == "__main__":
    leash()
    sys.exit(main())
