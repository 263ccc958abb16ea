"""The delta maker process: makes one delta of two local files, and is ended when that takes too long."""

from __future__ import annotations

import mmap
import os
import sys
from pathlib import Path

from contracts.delta.encode import encode_into

MADE, NOT_WORTH_IT = 0, 3
NICE = 10


def make(base: Path, target: Path, delta: Path, max_bytes: int) -> bool:
    """Write a delta of at most `max_bytes`, and say whether there is one."""
    with delta.open("wb") as out:
        return encode_into(out, _mapped(base), _mapped(target), max_bytes)


def _mapped(file: Path) -> memoryview:
    with file.open("rb") as stream:
        return memoryview(mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ) if file.stat().st_size else b"")


def main() -> int:
    """Take base, target, delta and the most bytes from the arguments."""
    base, target, delta, max_bytes = sys.argv[1:]
    os.nice(NICE)
    return MADE if make(Path(base), Path(target), Path(delta), int(max_bytes)) else NOT_WORTH_IT


if __name__ == "__main__":
    sys.exit(main())
