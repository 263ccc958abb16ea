"""Touches the file that a snapshot is written to: the newest frame as JPEG, whole or not at all, or the reason why there is none."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from contextlib import suppress
from pathlib import Path

import anyio

from agent.worker.errors import SourceError
from agent.worker.sources.frame import MAX_REASON_BYTES, Frame
from agent.worker.sources.lookout import Lookout
from agent.worker_link import Snapshot, SnapshotTaken

# Whoever asked waits for ten.
ENCODE_S = 8.0
NO_SOURCE = "expected a camera to take a picture from, found a model that is only asked over its API"
BESIDE = ".part"


class Photographer:
    """Takes one snapshot at a time."""

    def __init__(self) -> None:
        self._is_busy = False

    async def take(self, order: Snapshot, lookout: Lookout | None) -> SnapshotTaken:
        """Write the newest frame where the order says."""
        if lookout is None:
            return SnapshotTaken(id=order.id, reason=NO_SOURCE)
        if lookout.newest is None:
            health = lookout.health()
            return SnapshotTaken(
                id=order.id, reason=f"expected a frame of {health.source}, found none yet {health.reason}".rstrip()[:MAX_REASON_BYTES]
            )
        if self._is_busy:
            return SnapshotTaken(id=order.id, reason="expected one snapshot at a time, found another one under way")
        self._is_busy = True
        try:
            picture = await _encoded(lookout.newest, order.max_bytes)
            await anyio.to_thread.run_sync(_write, Path(order.file), picture)
        except (OSError, SourceError) as error:
            return SnapshotTaken(id=order.id, reason=str(error)[:MAX_REASON_BYTES])
        finally:
            self._is_busy = False
        return SnapshotTaken(id=order.id, file=order.file)


async def _encoded(frame: Frame, max_bytes: int) -> bytes:
    command = (sys.executable, "-m", "agent.worker.sources.encoder", str(frame.height), str(frame.width), str(max_bytes))
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    try:
        picture, said = await asyncio.wait_for(process.communicate(frame.pixels), ENCODE_S)
    except asyncio.TimeoutError as error:
        raise SourceError(f"expected its JPEG within {ENCODE_S:g} s, found none") from error
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
    if process.returncode or not 0 < len(picture) <= max_bytes:
        raise SourceError(f"expected a JPEG, found exit status {process.returncode} {said.decode(errors='replace')}".rstrip())
    return picture


def _write(file: Path, picture: bytes) -> None:
    beside = file.with_name(file.name + BESIDE)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as stream:  # noqa: PTH123 - of a descriptor
        stream.write(picture)
    beside.replace(file)
