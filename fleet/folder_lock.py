"""A lock on a folder that threads and processes share, which falls when its holder dies."""

from __future__ import annotations

import fcntl
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from fleet.errors.server import FolderBusyError

PATIENCE_S = 30.0
POLL_S = 0.02


class FolderLock:
    """One holder at a time among all servers that use a folder; its thread may take it again."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; nothing is written before the lock is taken."""
        self._file = folder / ".lock"
        self._threads = threading.RLock()
        self._depth = 0
        self._held: BinaryIO | None = None

    def __enter__(self) -> None:
        self._threads.acquire()
        try:
            if self._depth == 0:
                self._held = self._take()
            self._depth += 1
        except BaseException:
            self._threads.release()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._depth -= 1
        if self._depth == 0 and self._held is not None:
            self._held.close()
            self._held = None
        self._threads.release()

    def _take(self) -> BinaryIO:
        """Return the locked file; raise FolderBusyError."""
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        end_s = time.monotonic() + PATIENCE_S
        file = self._file.open("wb")
        while not _locked(file):
            if time.monotonic() > end_s:
                file.close()
                raise FolderBusyError(str(self._file.parent), PATIENCE_S)
            time.sleep(POLL_S)
        return file


def _locked(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
