"""Touches the patcher process: started for one delta, so that the control process never loads numpy."""

from __future__ import annotations

import os

import anyio

from agent.adapters.beside import beside
from agent.core.patching import MAX_REASON_BYTES, PatchOrder
from agent.errors import PatchError

PATCH_S = 900.0


class PatcherProcess:
    """Asks `python -m agent.patcher`."""

    async def apply(self, order: PatchOrder) -> None:
        """Write the target; raise PatchError when it is not made in time, or made wrong."""
        command = beside("agent.patcher")
        # Threads of linear algebra, which a delta has no use for, take memory each.
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        try:
            with anyio.fail_after(PATCH_S):
                done = await anyio.run_process(command, input=order.model_dump_json().encode(), stderr=None, check=False, env=environment)
        except TimeoutError as error:
            raise PatchError(f"patcher: expected an end, found none in {PATCH_S:g} s") from error
        except OSError as error:
            raise PatchError(f"patcher: expected it to start, found {error}") from error
        if done.returncode:
            reason = done.stdout[:MAX_REASON_BYTES].decode("utf-8", "replace") or f"exit status {done.returncode}"
            raise PatchError(f"patcher: {reason}")
